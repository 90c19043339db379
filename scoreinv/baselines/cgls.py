"""Conjugate gradients on the normal equations, regularised by stopping early (CGLS; CG-SENSE for several coils)."""

from scoreinv.operators.linear_solvers import least_squares
from scoreinv.samplers.base import Reconstruct


def cgls(*, iterations: int = 20) -> Reconstruct:
    """`iterations` conjugate-gradient steps on min |y - A x|^2 from zero (Hestenes and Stiefel 1952).

    Multi-coil MRI: CG-SENSE (Pruessmann et al. 2001).

    Args:
        iterations: number of steps; fewer smooth more.

    Returns:
        (key, measurement) -> image [H, W, C]; the key is not used.

    >>> jax.jit(scoreinv.cgls(iterations=5))(key, measurement).shape
    (8, 8, 1)
    """

    def reconstruct(key, measurement):
        operator = measurement.operator
        return least_squares(operator, operator.adjoint, measurement.y, iterations)

    return reconstruct
