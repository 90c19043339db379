"""Slices at several sizes in one array, from which views are drawn inside a compiled step: for GPUs."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from scoreinv.datasets.views import Views

MAX_PIXELS = 2**31 - 1  # what a 32-bit index reaches


class Pyramid(NamedTuple):
    """Slices of any shapes, each at its own pixels and at every half octave below.

    Attributes:
        pixels: all levels of all slices, one after another.
        offsets: where each level of each slice begins.
        shapes: (height, width) of each level of each slice.
    """

    pixels: Float[Array, " P"]
    offsets: Int[Array, "N L"]
    shapes: Int[Array, "N L 2"]


@partial(jax.jit, static_argnums=1)
def _resized(image: Float[Array, "H W"], shape: tuple[int, int]) -> Float[Array, "h w"]:
    resized = jax.image.resize(image, shape, "lanczos3", antialias=True)
    return jnp.clip(resized, 0, 1).astype(jnp.float16)


def make_pyramid(images: Sequence[Float[np.ndarray, "_ _"]], views: Views) -> Pyramid:
    """The levels of some slices, down to the coarsest view.

    Args:
        images: slices [H, W] in [0, 1].
        views: of which the largest field of view counts.

    Returns:
        The pyramid, float16, in host memory.

    Raises:
        ValueError: more pixels than a 32-bit index reaches.
    """
    coarsest = max(1.0, views.zoom[1] * max(max(image.shape) for image in images) / views.size)
    levels = 1 + round(2 * math.log2(coarsest))
    parts: list[np.ndarray] = []
    shapes = np.zeros((len(images), levels, 2), np.int32)
    # On the CPU, where it takes seconds: an accelerator would compile a program for every size.
    with jax.default_device(jax.devices("cpu")[0]):
        for i, image in enumerate(images):
            for level in range(levels):
                height, width = (max(1, round(side / 2 ** (level / 2))) for side in image.shape)
                shapes[i, level] = height, width
                small = image.astype(np.float16) if level == 0 else _resized(image, (height, width))
                parts.append(np.asarray(small).reshape(-1))
    ends = np.cumsum([part.size for part in parts])
    if ends[-1] > MAX_PIXELS:
        raise ValueError(
            f"{len(images)} training slices are {ends[-1] / 1e9:.1f}e9 pixels at all sizes, more than 2e9 at once on a "
            "device; set data.packed_size lower, or data.views above 0"
        )
    offsets = np.concatenate([[0], ends[:-1]]).reshape(shapes.shape[:2]).astype(np.int32)
    return Pyramid(np.concatenate(parts), offsets, shapes)  # type: ignore[arg-type]


def draw_view(key: PRNGKeyArray, pyramid: Pyramid, crop: int, views: Views) -> Float[Array, "crop crop 1"]:
    """A random crop of a random view of a random slice, as `random_view` draws them, by cubic convolution.

    The level whose pixels are nearest to the view's in size is interpolated (Keys 1981).

    Args:
        key: PRNG key of slice, scale, place and rotation.
        pyramid: the slices.
        crop: side of the result, at most `views.size`.
        views: their distribution.

    Returns:
        [crop, crop, 1] in [0, 1]; 0 outside of the slice.
    """
    key_slice, key_scale, key_centre, key_crop, key_angle, key_native = jax.random.split(key, 6)
    i = jax.random.randint(key_slice, (), 0, pyramid.shapes.shape[0])
    shape = pyramid.shapes[i, 0].astype(jnp.float32)
    side = jnp.max(shape)
    low = jnp.clip(views.size / side, *views.zoom)
    fraction = jnp.exp(jax.random.uniform(key_scale, minval=jnp.log(low), maxval=math.log(views.zoom[1])))
    native = jax.random.bernoulli(key_native, views.native)
    fraction = jnp.where(native, views.size / side, fraction)
    pixel = fraction * side / views.size
    angle = math.radians(views.rotation) * jax.random.uniform(key_angle, minval=-1.0) * (1 - native)
    turn = pixel * jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
    slack = jnp.maximum(0.0, 1 - fraction) / 2 * side
    centre = (shape - 1) / 2 + slack * jax.random.uniform(key_centre, (2,), minval=-1.0)
    centre = centre + turn @ jax.random.uniform(key_crop, (2,), minval=-1.0) * (views.size - crop) / 2
    grid = jnp.stack(jnp.meshgrid(jnp.arange(crop), jnp.arange(crop), indexing="ij"), -1) - (crop - 1) / 2
    corner = centre - (crop - 1) / 2
    centre = jnp.where(native, centre + jnp.round(corner) - corner, centre)  # onto the slice's own pixels
    places = centre + grid @ turn.T
    level = jnp.clip(jnp.round(2 * jnp.log2(pixel)).astype(jnp.int32), 0, pyramid.shapes.shape[1] - 1)
    height_width = pyramid.shapes[i, level]
    scale = height_width / shape
    return _interpolated(pyramid, pyramid.offsets[i, level], height_width, (places + 0.5) * scale - 0.5)[..., None]


def _interpolated(
    pyramid: Pyramid, offset: Int[Array, ""], height_width: Int[Array, "2"], places: Float[Array, "H W 2"]
) -> Float[Array, "H W"]:
    """One level at some places [H, W, 2], by cubic convolution, 0 outside."""
    whole = jnp.floor(places)
    weights = _keys(places - whole)
    first = whole.astype(jnp.int32) - 1
    height, width = height_width
    total = jnp.zeros(places.shape[:2])
    for a in range(4):
        for b in range(4):
            row, column = first[..., 0] + a, first[..., 1] + b
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = offset + jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
            value = jnp.where(inside, pyramid.pixels[index].astype(jnp.float32), 0.0)
            total = total + weights[a][..., 0] * weights[b][..., 1] * value
    return jnp.clip(total, 0, 1)


def _keys(f: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], ...]:
    """The four weights of cubic convolution with a = -1/2 (Keys 1981, eq. 15) at the fractions f."""
    return (
        ((-0.5 * f + 1.0) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1.0,
        ((-1.5 * f + 2.0) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    )
