"""Simultaneous iterative reconstruction technique: the classical algebraic method of CT."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.operators.base import Measurement
from scoreinv.samplers.base import Reconstruct


def sirt(*, iterations: int = 300) -> Reconstruct:
    """SIRT: x <- max(0, x + C A^T R (y - A x)), R and C inverse row and column sums (Gregor and Benson 2008, eq. 3).

    Args:
        iterations: number of steps; fewer smooth more.

    Returns:
        (key, measurement) -> image [H, W, 1], not negative; the key is not used.

    Raises:
        ValueError: complex data, whose operator has no meaningful row sums.
    """

    def reconstruct(key, measurement):
        y, operator, _ = measurement
        image, rows, columns = _inverse_sums(measurement)

        def step(x, _):
            return jnp.maximum(x + columns * operator.adjoint(rows * (y - operator(x))), 0), None

        return jax.lax.scan(step, jnp.zeros_like(image), length=iterations)[0]

    return reconstruct


def _inverse_sums(measurement: Measurement):
    """(an image of ones, 1 / A 1, 1 / A^T 1), zero where a ray or pixel is not seen."""
    y, operator, _ = measurement
    if jnp.iscomplexobj(y):
        raise ValueError("SIRT takes real projections, the measurement is complex; use cgls")
    shape = jax.eval_shape(operator.adjoint, y)
    ones = jnp.ones(shape.shape, shape.dtype)
    return ones, _reciprocal(operator(ones)), _reciprocal(operator.adjoint(operator.mask * jnp.ones_like(y)))


def _reciprocal(sums: Float[Array, "..."]) -> Float[Array, "..."]:
    # Rays that graze a corner have sums near zero, or below it by the ringing of a band-limited projector.
    return jnp.where(sums > 1e-2 * sums.max(), 1 / jnp.where(sums > 0, sums, 1), 0)
