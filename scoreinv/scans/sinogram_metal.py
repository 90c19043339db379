"""Metal in a measured sinogram: found in the scan's own image, its rays left out."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from scoreinv.operators.algebraic import simultaneous_iterations
from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.operators.mar import interpolate, metal_free_mask, segment_metal
from scoreinv.operators.weighted import as_measured
from scoreinv.scans.scan import Scan
from scoreinv.typing import Image, Scalar

ITERATIONS = 50
# Share of the image beyond which what is bright is no implant but the object.
MOST = 0.2


def without_metal_rays(scan: Scan, threshold: float) -> Scan:
    """The scan whose mask leaves out the rays through metal, with the metal and the image of all rays.

    Args:
        scan: of a sinogram.
        threshold: what is brighter is metal, in the unit of the scan's image. It has to be so in the filtered
            back-projection and, as few views streak brighter than metal, in an algebraic image too.

    Raises:
        ValueError: nothing is as bright, or most of the object is.
    """
    uncorrected, metal, completed = _segmented(scan.measurement, (threshold - scan.offset) / scan.scale)
    share = float(metal.mean())
    if not 0 < share < MOST:
        brightest = scan.scale * float(jnp.max(uncorrected)) + scan.offset
        found = "nothing in the image is" if not share else f"{100 * share:.0f} % of the image are"
        raise ValueError(
            f"{found} brighter than scan.metal={threshold:g}, the brightest pixel is {brightest:.4g} {scan.unit}; "
            f"{'lower' if not share else 'raise'} it, or leave it out"
        )
    measurement, mask = scan.measurement, metal_free_mask(_rays(scan), metal) * scan.measurement.operator.mask
    # Without a window the scale is that of the brightest pixels, which are metal: take that of the rest.
    rest = float(jnp.percentile(completed[metal == 0], 99.8)) if scan.unit != "HU" else 1.0
    note = (
        f"metal on {int(metal.sum())} pixels, brighter than {threshold:g} in the image of all rays; "
        f"{100 * (1 - float(mask.mean())):.1f} % of the rays are left out"
    )
    return replace(
        scan,
        measurement=measurement._replace(
            y=mask * measurement.y / rest,
            operator=LinearOperator(mask, measurement.operator.transform),
            noise_std=measurement.noise_std / rest,
        ),
        scale=scan.scale * rest,
        metal=metal[..., None],
        uncorrected=uncorrected / rest,
        notes=(*scan.notes, note),
    )


def _rays(scan: Scan):
    return as_measured(scan.measurement).operator.transform


@jax.jit
def _segmented(measurement: Measurement, threshold: Scalar) -> tuple[Image, jax.Array, Image]:
    """(image of all rays, metal in it [H, W], the image without the metal's rays)."""
    y, operator, _ = as_measured(measurement)
    uncorrected = operator.inverse(y)
    algebraic = simultaneous_iterations(operator, y, ITERATIONS)
    metal = segment_metal(jnp.minimum(uncorrected, algebraic), threshold)
    kept = jnp.broadcast_to(operator.mask * metal_free_mask(operator.transform, metal), y.shape)
    return uncorrected, metal, operator.inverse(interpolate(y, kept))
