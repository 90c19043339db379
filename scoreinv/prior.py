"""A prior: a diffusion, its score function and the image shape it was trained at."""

from collections.abc import Callable

import flax.struct
from jaxtyping import Array, Float

from scoreinv.sde import SDE

ScoreFn = Callable[[Float[Array, "H W C"], Float[Array, ""]], Float[Array, "H W C"]]


@flax.struct.dataclass
class Prior:
    """A score-based image prior (Song et al. 2021).

    A pytree: `score_fn` is usually a `jax.tree_util.Partial` over the network's parameters, so that a prior is passed to
    a compiled function as an argument, never baked into it as constants.

    Attributes:
        sde: the forward diffusion the score belongs to.
        score_fn: (x [H, W, C], t []) -> grad_x log p_t(x) [H, W, C], for one image.
        shape: (H, W, C) of the training images. Other H and W work as far as the network allows.
    """

    sde: SDE
    score_fn: ScoreFn
    shape: tuple[int, int, int] = flax.struct.field(pytree_node=False)
