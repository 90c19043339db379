"""Measured sinograms to a scan: line integrals, their geometry, noise and unit."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scoreinv.formats.arrays import Arrays, listed
from scoreinv.operators.base import LinearOperator, Measurement, check_mask
from scoreinv.operators.geometry import BeamGeometry, projector
from scoreinv.operators.weighted import FilteredTransform, WeightedTransform
from scoreinv.scans import counts, ct_checks
from scoreinv.scans.ct_geometry import scan_geometry, view_angles
from scoreinv.scans.ct_names import known_names, number
from scoreinv.scans.ct_readings import Rays, SinogramSettings, first_axis, line_integrals
from scoreinv.scans.hounsfield import WATER, HounsfieldScale
from scoreinv.scans.scan import Scan, scaled_scan
from scoreinv.scans.sinogram_metal import without_metal_rays
from scoreinv.typing import Image

# A detector whose ends are this unequally far from the axis is offset.
OFFSET = 0.8
# What an image of pixels leaves unexplained of a ray through sharp edges, times the brightest of the image: 0.11 of
# exact strip integrals of ellipses, 0.22 of thin rays. Data without noise are followed no further than that.
UNRESOLVED = 0.2
# HU of the brightest per cent of a patient, or anything else that somebody scans in Hounsfield units.
BRIGHT = (-500.0, 20_000.0)


def sinogram_scan(name: str, arrays: Arrays, settings: SinogramSettings) -> Scan:
    """The scan of `sinogram`, `counts` or `transmission` [views, detectors] with `angles` [views].

    Args:
        name: of the scan.
        arrays: of the file, by the names of `ct_names.NAMES`.
        settings: what the file does not say.

    Raises:
        ValueError: arrays of other types or shapes, NaN or Inf, a mask that does not fit, or what the data contradict.
    """
    arrays, unknown = known_names(arrays)
    notes = [f"not understood and not used: {listed(unknown)}"] if unknown else []
    angles, said = view_angles(arrays, first_axis(arrays), settings.geometry)
    rays = line_integrals(arrays, len(angles), settings)
    geometry, in_mm, more = scan_geometry(arrays, rays.p, angles, rays.noise_std, settings.geometry)
    notes += [*said, *rays.notes, *more]
    mask = arrays["mask"].astype(np.float32) if "mask" in arrays else np.ones((len(angles), 1), np.float32)
    if mask.shape == angles.shape:
        mask = mask[:, None]  # of the views
    check_mask(mask, rays.p.shape)
    if _truncated(rays.p, geometry):
        notes.append("the object is larger than what the detectors see: values near the edge are not to be trusted")
        rays, mask, geometry = _padded(rays, mask, geometry)
    pixel = geometry.pixel if in_mm else 1.0
    about: dict[str, Any] = {"spacing": (pixel, pixel) if in_mm else None, "notes": tuple(notes)}
    water = settings.water or number(arrays, "water")
    if water and not in_mm:
        raise ValueError(f"water={water:g} per mm, but no length is given in mm; give scan.detector_pitch")
    transform: FilteredTransform = projector(geometry, averages=True)
    p = rays.p
    if rays.roots is not None:
        transform, p = WeightedTransform(transform, jnp.asarray(rays.roots, jnp.float32)), rays.roots * p
    if water:
        scale = HounsfieldScale(water, *settings.window)
        scan = _hounsfield_scan(name, p / pixel, mask, transform, rays.noise_std / pixel, scale, about)
    else:
        scan = scaled_scan(name, p.astype(np.float32), mask, transform, rays.noise_std, brighter_image)
        scan = replace(scan, scale=scan.scale / pixel, unit="1/mm" if in_mm else "", **about)
    if settings.noise_std < 0:
        scan = _with_unresolved(scan)
    return without_metal_rays(scan, settings.metal) if settings.metal else scan


@jax.jit
def brighter_image(operator: LinearOperator, y: Float[Array, "views detectors"]) -> Image:
    """Of back-projection, too dark over few degrees, and least squares, too dark from few views, the brighter."""
    back_projected, fitted = operator.inverse(y), operator.pseudo_inverse(y)
    brighter = jnp.percentile(jnp.abs(fitted), 99.8) > jnp.percentile(jnp.abs(back_projected), 99.8)
    return jnp.where(brighter, fitted, back_projected)


def _with_unresolved(scan: Scan) -> Scan:
    """The scan with a noise level no smaller than what pixels leave unexplained of a ray through sharp edges."""
    measurement = scan.measurement
    if float(measurement.noise_std) >= UNRESOLVED:
        return scan
    note = (
        f"the noise is taken for {UNRESOLVED} of a bright pixel, which edges within pixels leave unexplained of a ray; "
        "scan.noise_std sets it"
    )
    return replace(scan, measurement=measurement._replace(noise_std=jnp.float32(UNRESOLVED)), notes=(*scan.notes, note))


def _truncated(p: np.ndarray, geometry: BeamGeometry) -> bool:
    """Whether the object is larger than what is seen; of an offset detector over a full turn the far side tells."""
    left, right = np.abs(geometry.columns[[0, -1]])
    if geometry.is_turn and min(left, right) < OFFSET * max(left, right):
        return ct_checks.edge_share(p, (-2, -1) if right > left else (0, 1)) > ct_checks.TRUNCATED
    return ct_checks.edge_share(p) > ct_checks.TRUNCATED


def _padded(rays: Rays, mask: np.ndarray, geometry: BeamGeometry) -> tuple[Rays, np.ndarray, BeamGeometry]:
    """Truncated projections continued to both sides, for the filters; the data term hardly sees what was added."""
    columns = geometry.detectors // 4
    axis = (geometry.detectors - 1) / 2 if geometry.axis is None else geometry.axis
    roots = np.ones_like(rays.p) if rays.roots is None else rays.roots
    roots = np.pad(roots, ((0, 0), (columns, columns)), constant_values=counts.FILLED)
    if mask.shape[-1] > 1:
        mask = np.pad(mask, ((0, 0), (columns, columns)), constant_values=1)
    wider = replace(geometry, detectors=geometry.detectors + 2 * columns, axis=axis + columns)
    return replace(rays, p=counts.padded(rays.p, columns), roots=roots), mask, wider


def _hounsfield_scan(name, y, mask, transform, noise_std, scale: HounsfieldScale, about) -> Scan:
    """The scan whose image is a window of Hounsfield units, of line integrals per pixel length."""
    ones = np.ones((*transform.shape, 1), np.float32)
    y = scale.slope * y + scale.vacuum * np.asarray(transform.forward(jnp.asarray(ones)))
    measurement = Measurement(
        jnp.asarray(mask * y, jnp.float32),
        LinearOperator(jnp.asarray(mask), transform),
        jnp.float32(scale.slope * noise_std),
    )
    scan = Scan(name, measurement, scale.high - scale.low, scale.low, "HU", **about)
    bright = scan.scale * float(jnp.percentile(measurement.operator.inverse(measurement.y), 99)) + scan.offset
    if BRIGHT[0] <= bright <= BRIGHT[1]:
        return scan
    doubt = (
        f"with water={scale.water:g} per mm the brightest of the image is {bright:.3g} HU: are water, the pitch and "
        f"the data in another unit? Water has {WATER} per mm at 70 keV"
    )
    return replace(scan, notes=(*scan.notes, doubt))
