"""Validation losses by noise level, for several sets of images, by one compiled program."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv.training.optimization import Params

LossAt = Callable[[PRNGKeyArray, Params, Float[Array, "H W C"], Float[Array, ""]], Float[Array, ""]]
Sets = Mapping[str, Float[np.ndarray, "_ H W C"]]


def column(name: str, sigma: float) -> str:
    """The name of a validation loss: the noise level, after that of the set of images if it has one."""
    return f"{name} {sigma:g}".strip()


def by_noise_level(loss_at: LossAt, sets: Sets, sigmas: Sequence[float]) -> Callable[[Params], dict[str, float]]:
    """A function from parameters to {column: mean loss}, always of the same images and the same noise.

    Args:
        loss_at: (key, parameters, image, sigma) -> loss of one image at one noise level.
        sets: images of each set, by name; all of one shape.
        sigmas: noise levels, in image intensity.
    """
    images = jnp.concatenate([jnp.asarray(own) for own in sets.values()])
    ends = np.cumsum([len(own) for own in sets.values()])
    # Each set's noise is its own, so that a further set changes no number of the others.
    keys = jnp.concatenate([jax.random.split(jax.random.key(0), len(own)) for own in sets.values()])

    @jax.jit
    def each(params, keys, images, sigma):
        return jax.lax.map(lambda pair: loss_at(pair[0], params, pair[1], sigma), (keys, images), batch_size=8)

    def validate(params: Params) -> dict[str, float]:
        losses = [np.split(np.asarray(each(params, keys, images, jnp.float32(s))), ends[:-1]) for s in sigmas]
        return {
            column(name, sigma): float(own[i].mean())
            for i, name in enumerate(sets)
            for sigma, own in zip(sigmas, losses, strict=True)
        }

    return validate
