"""Normalised metal artifact reduction (Meyer, Raupach, Lell, Schmidt and Kachelriess 2010)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.baselines.li import back_project, li, ray_mask
from scoreinv.operators.base import Measurement
from scoreinv.operators.mar import interpolate
from scoreinv.operators.weighted import as_measured
from scoreinv.samplers.base import Reconstruct
from scoreinv.typing import Image, Scalar


def nmar(
    *,
    soft_from: Scalar = 0.27,
    bone_from: Scalar = 0.62,
    air: Scalar = 0.012,
    soft: Scalar = 0.5,
    smoothing: Scalar = 1.0,
) -> Reconstruct:
    """Interpolates the sinogram divided by that of a prior image, a segmentation of the `li` image.

    The prior image is air below a first threshold, soft tissue below a second, and keeps the values of bone (Meyer et
    al. 2010, section II.B). The defaults are for values that stand for -1024 to 1024 HU.

    Args:
        soft_from: image value at which soft tissue begins; -470 HU.
        bone_from: image value at which bone begins; 250 HU.
        air: value of air; -1000 HU.
        soft: value of soft tissue; 0 HU.
        smoothing: standard deviation of the Gaussian applied before the segmentation, pixels.

    Returns:
        (key, measurement) -> image [H, W, 1]; the key is not used.
    """

    def reconstruct(key, measurement):
        measurement = as_measured(measurement)
        image = li()(key, measurement)
        smooth = gaussian(image, smoothing)
        segmented = jnp.where(smooth < soft_from, air, jnp.where(smooth < bone_from, soft, image))
        return back_project(measurement, normalised_interpolation(measurement, segmented))

    return reconstruct


def nmar_start(measurement: Measurement) -> Image:
    """The `nmar` image, for samplers that start at a moderate noise level."""
    return nmar()(jax.random.key(0), measurement)


def normalised_interpolation(measurement: Measurement, prior_image: Image) -> Float[Array, "views detectors"]:
    """The sinogram completed by that of a prior image: T p * interpolate(y / T p) (Meyer et al. 2010, eq. 1).

    Args:
        measurement: what was measured.
        prior_image: an image without artifacts [H, W, 1].

    Returns:
        [views, detectors]; y where measured. Rays that hardly meet the prior image are not normalised.
    """
    y, operator, _ = measurement
    projected = operator.transform.forward(prior_image)
    # Rays of less than a tenth of the thickest pass beside the body: a ratio of small numbers there, interpolated to
    # rays through the body, becomes a bright band along the skin wherever the trace reaches it.
    floor = 0.1 * jnp.max(projected)
    divisor = jnp.where(projected > floor, projected, floor)
    mask = ray_mask(measurement)
    return jnp.where(mask > 0, y, divisor * interpolate(y / divisor, mask))


def gaussian(image: Image, std: Scalar, radius: int = 4) -> Image:
    """The image smoothed with a Gaussian of `radius` taps to each side, edges continued; std 0 leaves it as it is."""
    offsets = jnp.arange(-radius, radius + 1)
    taps = jnp.exp(-((offsets / jnp.maximum(std, 1e-3)) ** 2) / 2)
    taps = taps / taps.sum()
    padded = jnp.pad(image[..., 0], radius, mode="edge")
    smoothed = jax.vmap(lambda row: jnp.convolve(row, taps, "valid"))(padded)
    return jax.vmap(lambda column: jnp.convolve(column, taps, "valid"), 1, 1)(smoothed)[..., None]
