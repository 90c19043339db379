"""The contract of every sampler: kernels, their composition, and the one loop that runs them."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.typing import Image, Time, Times

# One move of a sampler's state from noise level t to t_next (correctors and proximal steps stay at t).
Kernel = Callable[[PRNGKeyArray, Image, Time, Time], Image]
# What a method file returns: draws one image given a measurement. Drivers vmap and pmap it.
Reconstruct = Callable[[PRNGKeyArray, Measurement], Image]
# Levels of a time grid whose number of steps is data: it is filled up with its last time (times.py).
PADDED_LEVELS = 8193
# What a kernel moves: an image, or a tuple of arrays for methods with memory (multistep solver, ADMM's dual, momentum).
State = TypeVar("State")


def chain(*kernels: Kernel) -> Kernel:
    """Composes kernels left to right, each with a key of its own."""

    def kernel(key, x, t, t_next):
        for subkey, k in zip(jax.random.split(key, len(kernels)), kernels, strict=True):
            x = k(subkey, x, t, t_next)
        return x

    return kernel


def at_next(kernel: Kernel) -> Kernel:
    """The kernel applied at the level a step arrives at: (key, x, t, t_next) -> kernel(key, x, t_next, t_next)."""
    return lambda key, x, t, t_next: kernel(key, x, t_next, t_next)


def keyed(make_kernel: Callable[[PRNGKeyArray], Kernel]) -> Kernel:
    """A kernel that is built anew at each step from a key of its own, for scores that hold fresh noise."""

    def kernel(key, x, t, t_next):
        make_key, key = jax.random.split(key)
        return make_kernel(make_key)(key, x, t, t_next)

    return kernel


def integrate(
    kernel: Callable[[PRNGKeyArray, State, Time, Time], State],
    key: PRNGKeyArray,
    x: State,
    times: Times,
    at_last: bool = False,
) -> State:
    """Runs a kernel along a descending time grid; carries x only, so memory does not grow with the step count.

    Args:
        kernel: the move from each time to the next.
        key: PRNG key; step i uses `fold_in(key, i)`.
        x: state at times[0], an image or a pytree of arrays.
        times: descending times; len(times) - 1 steps, or, with `PADDED_LEVELS` of them, as many as are above the last.
        at_last: one more move, at the last time: from times[-1] to itself.

    Returns:
        The state at times[-1].
    """

    def step(i, x):
        t_next = times[jnp.minimum(i + 1, times.shape[0] - 1)]
        return kernel(jax.random.fold_in(key, i), x, times[i], t_next)

    padded = times.shape[0] == PADDED_LEVELS
    steps = jnp.sum(times > times[-1]) if padded else times.shape[0] - 1
    return jax.lax.fori_loop(0, steps + at_last, step, x)


def tweedie(prior: Prior, x: Image, t: Time) -> Image:
    """The denoised image E[x_0 | x_t] = (x_t + sigma^2 score) / alpha (Efron 2011)."""
    alpha, sigma = prior.sde.marginal_prob(t)
    return (x + sigma**2 * prior.score_fn(x, t)) / alpha
