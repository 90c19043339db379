"""The accelerated proximal gradient method that the regularised baselines share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv.operators.base import Measurement, misfit_gradient
from scoreinv.typing import Image

# (v, state) -> (argmin_x |x - v|^2 / 2 + regulariser(x), state): the state warm-starts what is itself iterative.
Prox = Callable[[Image, Any], tuple[Image, Any]]


def normal_norm(key: PRNGKeyArray, measurement: Measurement, iterations: int = 20) -> Float[Array, ""]:
    """The largest eigenvalue of A^H A by power iteration, raised by 2 % to be safe as a step size's inverse.

    Args:
        key: PRNG key of the start.
        measurement: its operator and the shape of its data.
        iterations: number of power iterations.

    Returns:
        1.02 |A|^2.
    """

    def step(x, _):
        x = measurement.operator.normal(x)
        norm = jnp.linalg.norm(x)
        return x / norm, norm

    x = jax.random.uniform(key, jax.eval_shape(measurement.operator.adjoint, measurement.y).shape)
    return 1.02 * jax.lax.scan(step, x / jnp.linalg.norm(x), length=iterations)[1][-1]


def fista(measurement: Measurement, prox: Prox, state: Any, iterations: int, norm: Float[Array, ""]) -> Image:
    """min_x |y - A x|^2 / (2 |A|^2) + regulariser(x) by FISTA (Beck and Teboulle 2009) with adaptive restart.

    The momentum restarts where it points uphill (O'Donoghue and Candes 2015, the gradient scheme). The data term is
    divided by |A|^2, so that a regulariser's weight means the same for every operator.

    Args:
        measurement: what was measured.
        prox: proximal map of the regulariser for a unit step.
        state: first state of `prox`.
        iterations: number of steps, one A and one A^H each.
        norm: `normal_norm` of the operator.

    Returns:
        The image [H, W, C], started at A's one-shot inverse.
    """
    gradient, start = misfit_gradient(measurement), measurement.operator.inverse(measurement.y)

    def step(carry, _):
        x, v, momentum, state = carry
        x_next, state = prox(v - gradient(v) / norm, state)
        uphill = jnp.sum((v - x_next) * (x_next - x)) > 0
        momentum = jnp.where(uphill, 1.0, momentum)
        momentum_next = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        return (x_next, x_next + (momentum - 1) / momentum_next * (x_next - x), momentum_next, state), None

    return jax.lax.scan(step, (start, start, jnp.ones(()), state), length=iterations)[0][0]


def nonnegative(x: Image) -> Image:
    """The projection onto the images allowed: intensities of one channel are not negative, complex ones are free."""
    return jnp.maximum(x, 0) if x.shape[-1] == 1 else x
