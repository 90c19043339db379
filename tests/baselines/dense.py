"""A transform that is a matrix, so that tests know everything about it."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scoreinv.operators.base import LinearOperator, Measurement


@flax.struct.dataclass
class DenseTransform:
    """T = matrix [K, H W C] on images of `shape`."""

    matrix: Array
    shape: tuple = flax.struct.field(pytree_node=False)

    def forward(self, x):
        return self.matrix @ x.ravel()

    def adjoint(self, z):
        return jnp.real(self.matrix.conj().T @ z).reshape(self.shape)

    def inverse(self, z, mask=None):
        return self.adjoint(z)

    def pseudo_inverse(self, mask, z):
        return self.adjoint(mask * z)


def dense_measurement(matrix: np.ndarray, image: np.ndarray) -> Measurement:
    """The noise-free measurement of an image [H, W, C] by a matrix."""
    transform = DenseTransform(jnp.asarray(matrix), image.shape)
    operator = LinearOperator(jnp.ones(matrix.shape[0]), transform)
    return Measurement(operator(jnp.asarray(image)), operator, jnp.zeros(()))
