"""A prior: a diffusion, its score function and the image shape it was trained at."""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.sde import SDE

ScoreFn = Callable[[Float[Array, "H W C"], Float[Array, ""]], Float[Array, "H W C"]]


@flax.struct.dataclass
class Prior:
    """A score-based image prior (Song et al. 2021).

    A pytree: `score_fn` is usually a `jax.tree_util.Partial` over the network's parameters, so that a prior is passed
    to a compiled function as an argument, never baked into it as constants.

    Attributes:
        sde: the forward diffusion the score belongs to.
        score_fn: (x [H, W, C], t []) -> grad_x log p_t(x) [H, W, C], for one image.
        shape: (H, W, C) of the training images. Other H and W work as far as the network allows.
    """

    sde: SDE
    score_fn: ScoreFn
    shape: tuple[int, int, int] = flax.struct.field(pytree_node=False)


def per_channel(prior: Prior) -> Prior:
    """A one-channel prior applied to real and imaginary part of a complex image (Chung and Ye 2022).

    Args:
        prior: a prior of real images.

    Returns:
        A prior of images [H, W, 2].
    """

    def score_fn(prior, x, t):
        return jax.vmap(lambda channel: prior.score_fn(channel[..., None], t)[..., 0], -1, -1)(x)

    height, width, _ = prior.shape
    return Prior(prior.sde, jax.tree_util.Partial(score_fn, prior), (height, width, 2))


def side_multiple(prior: Prior) -> int:
    """The number that height and width must be multiples of: the smallest power of two at which the network runs."""
    for multiple in (2**i for i in range(12)):
        x = jax.ShapeDtypeStruct((multiple, multiple, prior.shape[2]), jnp.float32)
        try:
            jax.eval_shape(prior.score_fn, x, jax.ShapeDtypeStruct((), jnp.float32))
        except ValueError:
            continue
        return multiple
    raise ValueError(f"the prior runs at no image side up to {multiple}; its channel count is {prior.shape[2]}")
