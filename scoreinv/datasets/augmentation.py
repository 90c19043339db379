"""What training images look like: contrast, blur, phase and orientation, drawn anew in every step, on the device."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Plane = Float[Array, "H W"]


@dataclass(frozen=True)
class Appearance:
    """The distribution of what happens to a training image after it was cut out.

    Blur and contrast stand for the scanners, sequences and resolutions that the training volumes do not show.

    Attributes:
        recoloured: fraction of the images whose intensities pass through a random piecewise linear curve.
        blur: largest standard deviation of a Gaussian blur, pixels.
        gamma: an image is raised to a power between exp(-gamma) and exp(gamma).
        phases: fraction of the images under a smooth random phase.
        flip: whether they are turned and mirrored, in all eight ways alike.
        channels: 1: the real part; 2: real and imaginary part.

    Raises:
        ValueError: neither 1 nor 2 channels.
    """

    recoloured: float = 0.0
    blur: float = 0.0
    gamma: float = 0.0
    phases: float = 0.0
    flip: bool = False
    channels: int = 1

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise ValueError(f"model.num_channels={self.channels}; give 1 (real images) or 2 (real and imaginary part)")


def augment(key: PRNGKeyArray, image: Float[Array, "H W 1"], appearance: Appearance) -> Float[Array, "H W C"]:
    """One training image in another contrast, resolution, phase and orientation.

    Args:
        key: PRNG key of the choices.
        image: square image in [0, 1].
        appearance: their distribution.

    Returns:
        The image, in [0, 1]; its real part in [-1, 1], or real and imaginary part, where there are phases.
    """
    keys = jax.random.split(key, 5)
    plane = image[..., 0]
    if appearance.recoloured:
        plane = recoloured(keys[0], plane, appearance.recoloured)
    if appearance.blur:
        plane = blurred(keys[1], plane, appearance.blur)
    if appearance.gamma:
        power = jnp.exp(jax.random.uniform(keys[2], minval=-appearance.gamma, maxval=appearance.gamma))
        plane = jnp.clip(plane, 0, 1) ** power
    result = with_phase(keys[3], plane, appearance.phases, appearance.channels)
    return turned(keys[4], result) if appearance.flip else result


def recoloured(key: PRNGKeyArray, plane: Plane, fraction: float) -> Plane:
    """With probability `fraction` the image of another sequence: tissues change their order, air stays black.

    The curve is piecewise linear through (0, 0) and four levels from U[0.2, 1] at 1/4, 1/2, 3/4 and 1.
    """
    key_levels, key_chosen = jax.random.split(key)
    levels = jnp.concatenate([jnp.zeros(1), jax.random.uniform(key_levels, (4,), minval=0.2, maxval=1.0)])
    position = 4 * jnp.clip(plane, 0, 1)
    left = jnp.minimum(position.astype(jnp.int32), 3)
    curve = levels[left] + (position - left) * (levels[left + 1] - levels[left])
    return jnp.where(jax.random.bernoulli(key_chosen, fraction), curve, plane)


def blurred(key: PRNGKeyArray, plane: Plane, largest: float) -> Plane:
    """The image under a Gaussian of a standard deviation from U[0, largest] pixels, repeated beyond its border."""
    deviation = jax.random.uniform(key, maxval=largest)
    radius = max(1, round(4 * largest))
    offsets = jnp.arange(-radius, radius + 1)
    weights = jax.nn.softmax(-(offsets**2) / (2 * jnp.maximum(deviation, 1e-3) ** 2))
    for axis, side in enumerate(plane.shape):
        padded = jnp.pad(plane, [(radius, radius) if a == axis else (0, 0) for a in range(2)], mode="edge")
        shifted = (jax.lax.slice_in_dim(padded, i, i + side, axis=axis) for i in range(2 * radius + 1))
        plane = sum((weight * part for weight, part in zip(weights, shifted, strict=True)), jnp.zeros_like(plane))
    return plane


def with_phase(key: PRNGKeyArray, plane: Plane, fraction: float, channels: int) -> Float[Array, "H W C"]:
    """The image times exp(i phi), as complex data are (Re and Im, or Re alone).

    With probability `fraction` phi is smooth: a random polynomial of second degree over the image, of some radians.
    Else it is 0 in one channel and constant in two, as no scanner's complex image has phase zero.

    Args:
        key: PRNG key of the polynomial.
        plane: image [H, W].
        fraction: of images under a smooth phase.
        channels: 1: the real part; 2: real and imaginary part.
    """
    if channels == 1 and not fraction:
        return plane[..., None]
    key_chosen, key_constant, key_terms = jax.random.split(key, 3)
    u, v = jnp.meshgrid(*(jnp.linspace(-1, 1, side) for side in plane.shape), indexing="ij")
    terms = jnp.stack([2 * u, 2 * v, 1.5 * u * v, 1.5 * u**2, 1.5 * v**2])
    smooth = jnp.tensordot(jax.random.normal(key_terms, (5,)), terms, 1)
    chosen = jax.random.bernoulli(key_chosen, fraction)
    constant = jax.random.uniform(key_constant, maxval=2 * jnp.pi)
    phase = jnp.where(chosen, constant + smooth, constant if channels == 2 else 0.0)
    parts = (jnp.cos(phase), jnp.sin(phase))[:channels]
    return jnp.stack([plane * part for part in parts], -1)


def turned(key: PRNGKeyArray, image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
    """A square image in one of its eight orientations: transposed, mirrored up-down and left-right, half of the time.

    Args:
        key: PRNG key of the choice.
        image: of equal sides.
    """
    transpose, upside_down, left_right = jax.random.bernoulli(key, 0.5, (3,))
    image = jnp.where(transpose, jnp.swapaxes(image, 0, 1), image)
    image = jnp.where(upside_down, image[::-1], image)
    return jnp.where(left_right, image[:, ::-1], image)
