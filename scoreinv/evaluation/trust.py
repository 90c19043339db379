"""Where not to trust a reconstruction: what its measurement determines, and what the prior filled in.

For a Gaussian image of standard deviation s the best linear estimate keeps R = (A^H A + (noise_std / s)^2 I)^-1 A^H A
of it. I - R is the part that the measurement leaves open: the null space of A, and what the noise hides. Everything
here is a function of the measurement and one image; no network is called.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from scipy import ndimage

from scoreinv.operators.base import Measurement
from scoreinv.samplers.data_terms import data_step
from scoreinv.typing import Image, Scalar

Plane = Float[Array, "H W"]


def left_open(measurement: Measurement, image: Image, signal_std: float = 0.1, steps: int = 30) -> Image:
    """(I - R) x, the part of an image that its measurement would not bring back.

    Args:
        measurement: its operator and noise level; y is not looked at.
        image: x [H, W, C].
        signal_std: s, what a detail is expected to stand out by, in the unit of the image: below noise_std / s a
            singular value of A counts as none.
        steps: conjugate-gradient steps.

    Returns:
        The image [H, W, C] less its part that is determined.
    """
    _, operator, noise_std = measurement
    return image - data_step(operator, operator(image), (noise_std / signal_std) ** 2, steps)


def open_fraction(
    key: PRNGKeyArray, measurement: Measurement, scales: Float[Array, "S"], probes: int = 4
) -> Float[Array, "S H W"]:
    """How much of a random pattern about each pixel the measurement leaves open, by the pattern's scale.

    The patterns are white noise between two Gaussian low-passes, of standard deviations s and 2 s pixels. The energy
    of (I - R) pattern over that of the pattern, both about the pixel (within 2 s) and over `probes` patterns.

    Args:
        key: PRNG key of the patterns.
        measurement: its operator and noise level.
        scales: standard deviations s, in pixels.
        probes: random patterns for each scale.

    Returns:
        For each scale the fraction: 0 where the measurement determines the pattern, 1 where the prior decides.
    """
    shape = jax.eval_shape(measurement.operator.adjoint, measurement.y).shape

    def energies(scale, key):
        white = jax.random.normal(key, shape)
        pattern = low_pass(white, scale) - low_pass(white, 2 * scale)
        pattern = 0.1 * pattern / pattern.std()
        return [
            low_pass((part**2).sum(-1, keepdims=True), 2 * scale)[..., 0]
            for part in (left_open(measurement, pattern), pattern)
        ]

    def fraction(scale, keys):
        lost, whole = jax.lax.map(lambda k: jnp.stack(energies(scale, k)), keys).sum(0)
        return jnp.clip(lost / whole, 0.0, 1.0)

    keys = jax.random.split(key, (len(scales), probes))
    return jax.lax.map(lambda pair: fraction(*pair), (scales, keys))


def filled_in(measurement: Measurement, image: Image, window: float = 2.0, signal_std: float = 0.1) -> Plane:
    """The contrast about each pixel that is the prior's: root mean square of (I - R) x, in the unit of the image.

    Args:
        measurement: what the image was made from.
        image: the reconstruction x [H, W, C].
        window: standard deviation of the Gaussian neighbourhood, in pixels.
        signal_std: as in `left_open`.

    Returns:
        The map [H, W].
    """
    part = left_open(measurement, image, signal_std)
    return jnp.sqrt(jnp.maximum(low_pass((part**2).sum(-1, keepdims=True), window)[..., 0], 0.0))


def low_pass(image: Image, std: Scalar) -> Image:
    """The image convolved with a Gaussian of `std` pixels, periodic at its borders."""
    rows, columns = (jnp.fft.fftfreq(n) for n in image.shape[:2])
    gain = jnp.exp(-2 * (jnp.pi * std) ** 2 * (rows[:, None] ** 2 + columns**2))
    return jnp.fft.ifft2(gain[..., None] * jnp.fft.fft2(image, axes=(0, 1)), axes=(0, 1)).real


class Flagged(NamedTuple):
    """Where an image rests on the prior.

    Attributes:
        region: the pixels.
        largest: pixels of the largest connected part.
        share: fraction of the object's pixels.
    """

    region: Bool[np.ndarray, "H W"]
    largest: int
    share: float


def flag(contrast: Plane, region: Bool[np.ndarray, "H W"], threshold: float) -> Flagged:
    """The pixels of an object where the prior's contrast exceeds a threshold.

    Args:
        contrast: map of `filled_in`.
        region: the object.
        threshold: contrast from which a pixel rests on the prior, in the unit of the image.

    Returns:
        The pixels, the size of their largest connected part, and their share of the object.
    """
    found = (np.asarray(contrast) > threshold) & region
    parts, _ = ndimage.label(found)
    sizes = np.bincount(parts.ravel())[1:]
    return Flagged(found, int(sizes.max(initial=0)), float(found.sum() / max(region.sum(), 1)))


def warning(flagged: Flagged, threshold: float, area: int) -> str:
    """One line where a connected part larger than `area` pixels rests on the prior, else nothing."""
    if flagged.largest <= area:
        return ""
    return (
        f"{100 * flagged.share:.0f} % of the object rests on the prior (a part of {flagged.largest} pixels, contrast "
        f"above {threshold:g} that the measurement does not determine): do not read detail there without the interval"
    )
