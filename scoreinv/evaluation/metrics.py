"""How close a reconstruction is to the truth: PSNR, SSIM, RMSE of one image, over all of it or a region of interest.

PSNR and SSIM are of images clipped to [0, 1] with data range 1. An image of two channels is complex (real, imaginary)
and is compared by magnitude; one of more, of several complex images (coils, say), by their root sum of squares.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from scoreinv.typing import Image

Region = Num[Array, "H W"] | Bool[Array, "H W"]

# The window of Wang et al. 2004: 11 taps of a Gaussian of standard deviation 1.5.
_RADIUS = 5
_TAPS = np.exp(-((np.arange(-_RADIUS, _RADIUS + 1) / 1.5) ** 2) / 2)
_TAPS = _TAPS / _TAPS.sum()


def magnitude(x: Image) -> Float[Array, "*slices H W"]:
    """The image itself for C = 1, sqrt(real^2 + imaginary^2) for C = 2, the root sum of squares for 4, 6, ...

    Raises:
        ValueError: another number of channels.
    """
    channels = x.shape[-1]
    if channels != 1 and channels % 2:
        raise ValueError(
            f"image has {channels} channels; allowed: 1 (real) or 2 for each complex image: compare channels one by one"
        )
    if channels <= 2:
        return x[..., 0] if channels == 1 else jnp.hypot(x[..., 0], x[..., 1])
    return jnp.linalg.norm(x, axis=-1)


def _gray(x: Image) -> Float[Array, "H W"]:
    return jnp.clip(magnitude(x), 0, 1)


def _mean(values: Float[Array, "H W"], region: Region | None) -> Float[Array, ""]:
    return jnp.mean(values) if region is None else jnp.sum(region * values) / jnp.sum(region)


@jax.jit
def psnr(x: Image, truth: Image, region: Region | None = None) -> Float[Array, ""]:
    """Peak signal-to-noise ratio -10 log10 mean (x - truth)^2 in dB, data range 1.

    Args:
        x: reconstruction [H, W, C].
        truth: true image [H, W, C].
        region: weight of each pixel [H, W], e.g. a 0/1 mask; None: all pixels alike.

    Returns:
        dB; infinite for equal images.

    >>> round(float(scoreinv.psnr(image + 0.1, image)), 2)
    20.0
    """
    return -10 * jnp.log10(_mean((_gray(x) - _gray(truth)) ** 2, region))


@jax.jit
def rmse(x: Image, truth: Image, region: Region | None = None) -> Float[Array, ""]:
    """Root mean square of the error's magnitude, nothing clipped, in the unit of the images.

    Args:
        x: reconstruction [H, W, C].
        truth: true image [H, W, C].
        region: weight of each pixel [H, W]; None: all pixels alike.

    Returns:
        The error; for two channels that of the complex values.

    >>> round(float(scoreinv.rmse(image + 0.1, image)), 3)
    0.1
    """
    return jnp.sqrt(_mean(magnitude(x - truth) ** 2, region))


def _windowed(images: Float[Array, "N H W"]) -> Float[Array, "N h w"]:
    """Gaussian-weighted means about each pixel whose whole window lies inside the image."""
    taps = jnp.asarray(_TAPS, images.dtype)
    x = images[:, None]
    for kernel in (taps[None, None, :, None], taps[None, None, None, :]):
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", precision=jax.lax.Precision.HIGHEST)
    return x[:, 0]


@jax.jit
def ssim(x: Image, truth: Image, region: Region | None = None) -> Float[Array, ""]:
    """Structural similarity (Wang et al. 2004): Gaussian window 11 x 11, standard deviation 1.5, data range 1.

    The mean runs over the pixels whose window lies inside the image, with population covariances: scikit-image's
    structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1). Its defaults are
    another measure (a uniform 7 x 7 window and sample covariances), and so is averaging over padded borders.

    Args:
        x: reconstruction [H, W, C].
        truth: true image [H, W, C].
        region: weight of each pixel [H, W]; None: all pixels alike. Its outer 5 pixels have no window and do not count.

    Returns:
        Mean similarity, at most 1.

    Raises:
        ValueError: an image side below 11 pixels.

    >>> image = jnp.asarray(scoreinv.brain_mri().image)
    >>> round(float(scoreinv.ssim(image, image)), 3)
    1.0
    """
    a, b = _gray(x), _gray(truth)
    if min(a.shape) < 2 * _RADIUS + 1:
        raise ValueError(
            f"image is {a.shape[0]} x {a.shape[1]}; SSIM needs at least 11 x 11: use psnr for smaller images"
        )
    mean_a, mean_b, square_a, square_b, product = _windowed(jnp.stack([a, b, a * a, b * b, a * b]))
    variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
    covariance = product - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variance_a + variance_b + 0.03**2)
    inside = slice(_RADIUS, -_RADIUS)
    return _mean(luminance * structure, None if region is None else region[inside, inside])


def circular_region(shape: tuple[int, int], radius: float = 1.0) -> Float[Array, "H W"]:
    """1 inside the circle about the image's centre, 0 outside: the field of view of a CT scan.

    Args:
        shape: (H, W).
        radius: of the circle, as a fraction of half the shorter side.

    Returns:
        [H, W] float32.
    """
    y, x = (jnp.arange(n) - (n - 1) / 2 for n in shape)
    inside = y[:, None] ** 2 + x[None, :] ** 2 <= (radius * min(shape) / 2) ** 2
    return inside.astype(jnp.float32)
