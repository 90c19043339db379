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


def channelwise(prior: Prior, channels: int) -> Prior:
    """A one-channel prior used on each channel of an image: on real and imaginary part, say (Chung and Ye 2022).

    Args:
        prior: prior of one-channel images.
        channels: number of channels of the images it is to serve.

    Returns:
        The prior of [H, W, channels] images with independent channels.

    Raises:
        ValueError: if the prior has more than one channel.
    """
    height, width, own = prior.shape
    if own != 1:
        raise ValueError(f"channelwise needs a prior of 1 channel, got one of {own}; use it as it is")
    return Prior(prior.sde, jax.tree_util.Partial(_channelwise_score, prior.score_fn), (height, width, channels))


def _channelwise_score(score_fn: ScoreFn, x, t):
    return jax.vmap(lambda plane: score_fn(plane[..., None], t)[..., 0], -1, -1)(x)


def cycle_spinning(prior: Prior, period: int) -> Prior:
    """The prior seen through a random circular shift at each call, so that no grid of the network stays in place.

    Coifman and Donoho 1995, with one random shift per call instead of the mean over all: a sampler's many calls average
    them. The shift is drawn from the bits of the state, so that the score remains a function of (x, t).

    Args:
        prior: the prior.
        period: shifts are 0 to period - 1 pixels along both axes; the network's patch side or a multiple of it.

    Returns:
        The prior; at period 1 the same score.
    """
    return Prior(prior.sde, jax.tree_util.Partial(_spun_score, prior.score_fn, jnp.int32(period)), prior.shape)


def _spun_score(score_fn: ScoreFn, period, x, t):
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    shift = jax.random.randint(jax.random.key(bits.sum(dtype=jnp.uint32)), (2,), 0, period)
    return jnp.roll(score_fn(jnp.roll(x, shift, (0, 1)), t), -shift, (0, 1))


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
