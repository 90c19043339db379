"""Where a training's images come from: the data of each call of the step, and how a device draws a batch from it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv.datasets.augmentation import Appearance, augment
from scoreinv.datasets.pyramid import Pyramid, draw_view
from scoreinv.datasets.views import Views

Draw = Callable[[PRNGKeyArray, Any, Any], Float[Array, "N H W C"]]


class Batches(NamedTuple):
    """Training images.

    Attributes:
        data: the data of each call of the step, without end; every leaf has an axis of local devices.
        draw: (key, data of one device, i) -> its images [N, H, W, C] for the i-th step of the call.
        position: the iterator behind `data`, which is saved with every checkpoint; None: `data` is always the same.
        images: number of images, or of slices, that are drawn from.
    """

    data: Iterator[Any]
    draw: Draw
    position: Any = None
    images: int = 0


def random_crop(key: PRNGKeyArray, image: Float[Array, "H W C"], crop: int) -> Float[Array, "crop crop C"]:
    """A random square of one image."""
    room = jnp.array([image.shape[0] - crop + 1, image.shape[1] - crop + 1])
    row, column = jax.random.randint(key, (2,), 0, room)
    return jax.lax.dynamic_slice(image, (row, column, 0), (crop, crop, image.shape[2]))


def draw_from_pool(count: int, crop: int, appearance: Appearance) -> Draw:
    """Draws `count` random crops of random images of a pool [M, H, W, 1]."""

    def draw(key, pool, i):
        key_index, key_crop, key_look = jax.random.split(key, 3)
        index = jax.random.randint(key_index, (count,), 0, pool.shape[0])
        cut = jax.vmap(partial(random_crop, crop=crop))
        crops = cut(jax.random.split(key_crop, count), pool[index].astype(jnp.float32))
        return _augmented(key_look, crops, appearance)

    return draw


def draw_from_pyramid(count: int, crop: int, views: Views, appearance: Appearance) -> Draw:
    """Draws `count` crops of new random views of random slices of a `Pyramid`."""

    def draw(key, pyramid: Pyramid, i):
        key_view, key_look = jax.random.split(key)
        keys = jax.random.split(key_view, count)
        crops = jax.vmap(lambda one: draw_view(one, pyramid, crop, views))(keys)
        return _augmented(key_look, crops, appearance)

    return draw


def take_from_stream(appearance: Appearance) -> Draw:
    """Takes the i-th of the batches [calls, N, H, W, 1] that a stream delivered for one call."""

    def take(key, batches, i):
        return _augmented(key, batches[i], appearance)

    return take


def _augmented(key, crops, appearance: Appearance):
    look = jax.vmap(partial(augment, appearance=appearance))
    return look(jax.random.split(key, crops.shape[0]), crops)
