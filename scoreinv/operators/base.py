"""Measurement operators A = P(mask) T as pytrees, and the measurements they make.

Song et al. 2022, section 3.1: in medical imaging a measurement is a subsample of an invertible transform. The
measurement keeps the full shape of T's output with zeros where the mask is 0, so that every shape is static and the
mask is data: another acceleration or view count compiles nothing.
"""

from typing import NamedTuple, Protocol

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, Num, PRNGKeyArray

Image = Float[Array, "H W C"]
Coefficients = Inexact[Array, "..."]


class Transform(Protocol):
    """A full transform T, a pytree whose leaves are geometry tables (angles, coil maps, gridding weights)."""

    def forward(self, x: Image) -> Coefficients:
        """T x, the coefficients of an image."""
        ...

    def adjoint(self, z: Coefficients) -> Image:
        """T^H z, the exact adjoint of `forward` for the real inner product Re<a, b>."""
        ...

    def inverse(self, z: Coefficients) -> Image:
        """T^-1 z: exact for Fourier, filtered back-projection for Radon."""
        ...

    def pseudo_inverse(self, mask: Num[Array, "..."], z: Coefficients) -> Image:
        """A^+ z for A = P(mask) T, the minimum-norm image whose measured coefficients are (closest to) z."""
        ...


@flax.struct.dataclass
class LinearOperator:
    """A = P(mask) T, zero-filled (Song et al. 2022, eq. 3)."""

    mask: Num[Array, "..."]
    transform: Transform

    def __call__(self, x: Image) -> Coefficients:
        return self.mask * self.transform.forward(x)

    def adjoint(self, y: Coefficients) -> Image:
        """A^H y."""
        return self.transform.adjoint(self.mask * y)

    def normal(self, x: Image) -> Image:
        """A^H A x."""
        return self.adjoint(self(x))

    def pseudo_inverse(self, y: Coefficients) -> Image:
        """A^+ y: what the proximal step adds to an image whose residual is y."""
        return self.transform.pseudo_inverse(self.mask, self.mask * y)


class Measurement(NamedTuple):
    """What a scanner delivers: zero-filled samples, the operator that made them, and their noise level.

    `noise_std` is the standard deviation of each real number measured (of the real and of the imaginary part
    separately for k-space), in the unit of `y`.
    """

    y: Coefficients
    operator: LinearOperator
    noise_std: Float[Array, ""]


def simulate(key: PRNGKeyArray, operator: LinearOperator, x: Image, noise_std: Float[Array, ""] | float) -> Measurement:
    """Measures an image: y = A x + n with Gaussian n on the measured samples only.

    Args:
        key: PRNG key of the noise.
        operator: the measurement operator.
        x: true image [H, W, C], intensities in [0, 1].
        noise_std: standard deviation of the noise on each real number measured, in the unit of y.

    Returns:
        The measurement; entries of y outside the mask are zero.
    """
    y = operator(x)
    parts = (2, *y.shape) if jnp.iscomplexobj(y) else (1, *y.shape)
    noise = jax.random.normal(key, parts)
    noise = jax.lax.complex(noise[0], noise[1]) if jnp.iscomplexobj(y) else noise[0]
    noise_std = jnp.asarray(noise_std, jnp.float32)
    return Measurement(y + noise_std * (operator.mask != 0) * noise, operator, noise_std)
