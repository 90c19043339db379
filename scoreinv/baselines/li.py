"""Linear interpolation over the metal trace (Kalender, Hebel and Ebersberger 1987)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.operators.base import Measurement
from scoreinv.operators.mar import interpolate
from scoreinv.operators.weighted import as_measured
from scoreinv.samplers.base import Reconstruct
from scoreinv.typing import Image


def li() -> Reconstruct:
    """Filtered back-projection of the sinogram whose unmeasured bins are interpolated along each measured view.

    Rays of unequal weight are interpolated and back-projected as they were measured.

    Returns:
        (key, measurement) -> image [H, W, 1]; the key is not used.
    """

    def reconstruct(key, measurement):
        measurement = as_measured(measurement)
        mask = ray_mask(measurement)
        return back_project(measurement, interpolate(measurement.y, mask))

    return reconstruct


def ray_mask(measurement: Measurement) -> Float[Array, "views detectors"]:
    """The mask, one entry for each ray.

    Raises:
        ValueError: data that are no real sinogram.
    """
    y, operator, _ = measurement
    if y.ndim != 2 or jnp.iscomplexobj(y):
        raise ValueError(
            f"interpolation over a metal trace takes real sinograms [views, detectors], not {y.dtype} of {y.ndim} "
            "axes; it is made for the modalities ct and mar"
        )
    return jnp.broadcast_to(operator.mask, y.shape)


def back_project(measurement: Measurement, completed: Float[Array, "views detectors"]) -> Image:
    """Filtered back-projection of a completed sinogram, over the views with at least one measured ray."""
    views = jnp.any(ray_mask(measurement) > 0, axis=1, keepdims=True).astype(jnp.float32)
    return measurement.operator.transform.inverse(views * completed, views)
