"""A supervised reconstruction network: gradient steps towards the data, unrolled, with a U-Net in each.

What score-based priors are compared with: it is trained for one measurement operator, in image space over any
`LinearOperator`.
"""

import flax.linen as nn
import jax.numpy as jnp

from scoreinv.operators.base import Measurement
from scoreinv.typing import Image


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) of two 3 x 3 convolutions a level; its output starts at zero.

    Attributes:
        features: channels of the first level, doubled at each further one.
        levels: times that the image is halved; H and W must be multiples of 2^levels.
    """

    features: int
    levels: int

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """An image [H, W, C] from another."""
        h, skips = x[None], []
        for level in range(self.levels):
            h = self._block(h, self.features * 2**level)
            skips.append(h)
            h = nn.avg_pool(h, (2, 2), (2, 2))
        h = self._block(h, self.features * 2**self.levels)
        for skip in reversed(skips):
            h = jnp.repeat(jnp.repeat(h, 2, 1), 2, 2)
            h = self._block(jnp.concatenate([h, skip], -1), skip.shape[-1])
        return nn.Conv(x.shape[-1], (1, 1), kernel_init=nn.initializers.zeros)(h)[0]

    def _block(self, h, features: int):
        for _ in range(2):
            h = nn.leaky_relu(nn.GroupNorm(num_groups=4)(nn.Conv(features, (3, 3))(h)), 0.2)
        return h


class UnrolledNetwork(nn.Module):
    """x <- x + eta_k A^+ (y - A x) + U_k(x), started at A^+ y (Sriram et al. 2020, eq. 7, in image space).

    Attributes:
        cascades: number of steps k, each with a U-Net and a step length of its own.
        features: channels of a U-Net's first level.
        levels: levels of a U-Net.
    """

    cascades: int = 4
    features: int = 16
    levels: int = 2

    @nn.compact
    def __call__(self, measurement: Measurement) -> Image:
        """The image [H, W, C] of one measurement."""
        y, operator, _ = measurement
        x = operator.pseudo_inverse(y)
        for k in range(self.cascades):
            eta = self.param(f"eta_{k}", nn.initializers.ones, ())
            x = x + eta * operator.pseudo_inverse(y - operator(x)) + UNet(self.features, self.levels)(x)
        return x
