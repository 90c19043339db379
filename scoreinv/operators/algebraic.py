"""SIRT, the simultaneous iterative reconstruction technique: images of rays that are never negative."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.operators.base import Coefficients, LinearOperator
from scoreinv.typing import Image


def simultaneous_iterations(operator: LinearOperator, y: Coefficients, iterations: int) -> Image:
    """x <- max(0, x + C A^T R (y - A x)), R and C inverse row and column sums (Gregor and Benson 2008, eq. 3).

    Args:
        operator: A, of rays.
        y: real projections.
        iterations: number of steps; fewer smooth more.

    Returns:
        The image [H, W, 1], not negative.

    Raises:
        ValueError: complex data, whose operator has no meaningful row sums.
    """
    image, rows, columns = _inverse_sums(operator, y)

    def step(x, _):
        return jnp.maximum(x + columns * operator.adjoint(rows * (y - operator(x))), 0), None

    return jax.lax.scan(step, jnp.zeros_like(image), length=iterations)[0]


def _inverse_sums(operator: LinearOperator, y: Coefficients):
    """(an image of ones, 1 / A 1, 1 / A^T 1), zero where a ray or pixel is not seen."""
    if jnp.iscomplexobj(y):
        raise ValueError("SIRT takes real projections, the measurement is complex; use cgls")
    shape = jax.eval_shape(operator.adjoint, y)
    ones = jnp.ones(shape.shape, shape.dtype)
    return ones, _reciprocal(operator(ones)), _reciprocal(operator.adjoint(operator.mask * jnp.ones_like(y)))


def _reciprocal(sums: Float[Array, "..."]) -> Float[Array, "..."]:
    # Rays that graze a corner have sums near zero, or below it by the ringing of a band-limited projector.
    return jnp.where(sums > 1e-2 * sums.max(), 1 / jnp.where(sums > 0, sums, 1), 0)
