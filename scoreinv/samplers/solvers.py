"""Higher-order predictors for the probability flow ODE, which draw no noise.

In x' = x / alpha and r = sigma / alpha the ODE is dx'/dr = (x' - D) / r with D the denoised image, the same for every
SDE (Karras et al. 2022, eq. 4), so these solvers depend on the SDE only through the levels r they stop at.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from scoreinv.prior import Prior
from scoreinv.samplers.base import Kernel, chain, tweedie
from scoreinv.samplers.frame import Iteration
from scoreinv.sde import SDE
from scoreinv.typing import Image, Scalar, Time


def noise_to_signal(sde: SDE, t: Time) -> Scalar:
    """r(t) = sigma(t) / alpha(t)."""
    alpha, sigma = sde.marginal_prob(t)
    return sigma / alpha


def heun(prior: Prior) -> Kernel:
    """Heun's step in r = sigma/alpha (Karras et al. 2022, algorithm 1): order 2, two network calls.

    Args:
        prior: the prior, or a conditioned one.

    Returns:
        The kernel; it ignores its key.
    """

    def slope(scaled, t):
        alpha, _ = prior.sde.marginal_prob(t)
        return (scaled - tweedie(prior, alpha * scaled, t)) / noise_to_signal(prior.sde, t)

    def kernel(key, x, t, t_next):
        scaled = x / prior.sde.marginal_prob(t)[0]
        step = noise_to_signal(prior.sde, t_next) - noise_to_signal(prior.sde, t)
        first = slope(scaled, t)
        second = slope(scaled + step * first, t_next)
        return prior.sde.marginal_prob(t_next)[0] * (scaled + step * (first + second) / 2)

    return kernel


class Multistep(NamedTuple):
    """State of a two-step solver: the image, the previous denoised image and the step in log(alpha/sigma) it began."""

    x: Image
    denoised: Image
    log_step: Scalar


def multistep_start(x: Image) -> Multistep:
    """The state before the first step, whose history has no weight."""
    return Multistep(x, jnp.zeros_like(x), jnp.float32(jnp.inf))


def on_image(kernel: Kernel):
    """The kernel on the image of a `Multistep`, whose memory stays."""
    return lambda key, state, t, t_next: state._replace(x=kernel(key, state.x, t, t_next))


def with_predictor(
    predictor: Callable[..., Any], before: Sequence[Kernel], step: Callable[..., Any], finish: Callable[[Image], Image]
) -> Iteration:
    """chain(*before, step) as an iteration, where step is a kernel made by `predictor`, with memory if it has one.

    Args:
        predictor: the predictor that `step` was made by; only its state is looked at.
        before: image kernels that come before the predictor in each step.
        step: the predictor's kernel.
        finish: image at the last level -> image.

    Returns:
        The iteration.
    """
    if predictor is not dpm_solver_2m:
        return Iteration(chain(*before, step), finish)
    return Iteration(chain(*map(on_image, before), step), lambda state: finish(state.x), multistep_start)


def dpm_solver_2m(prior: Prior):
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): order 2, one network call.

    x <- (sigma_next / sigma) x + alpha_next (1 - e^-h) [(1 + c) D - c D_previous], with h the step in log(alpha/sigma)
    and c = h / (2 h_previous), 0 in the first step.

    Args:
        prior: the prior, or a conditioned one.

    Returns:
        A kernel on `Multistep`; start it from `multistep_start`, read the image off `.x`. It ignores its key.
    """

    def kernel(key, state, t, t_next):
        alpha_next, sigma_next = prior.sde.marginal_prob(t_next)
        h = jnp.log(noise_to_signal(prior.sde, t) / noise_to_signal(prior.sde, t_next))
        denoised = tweedie(prior, state.x, t)
        c = h / (2 * state.log_step)
        extrapolated = (1 + c) * denoised - c * state.denoised
        kept = sigma_next / prior.sde.marginal_prob(t)[1]
        return Multistep(kept * state.x - alpha_next * jnp.expm1(-h) * extrapolated, denoised, h)

    return kernel


def probability_flow(prior: Prior, tolerance: float = 1e-4, max_steps: int = 4096) -> Kernel:
    """Adaptive probability flow ODE by diffrax (Song et al. 2021, appendix D), in log r: dx'/d log r = x' - D.

    The step size adapts, so a grid of one step from the first to the last level is enough; the number of network calls
    is not known beforehand (six per step of the fifth-order Tsitouras method).

    Args:
        prior: the prior, or a conditioned one.
        tolerance: relative and absolute error per step, in the unit of the image.
        max_steps: bound on the number of adaptive steps between two levels.

    Returns:
        The kernel; it ignores its key.

    Raises:
        ValueError: if diffrax is not installed.
    """
    try:
        import diffrax
    except ImportError as error:
        raise ValueError("probability_flow needs diffrax; install it with `pip install diffrax`") from error

    def field(log_ratio, scaled, _):
        t = jnp.asarray(prior.sde.time_at(jnp.exp(log_ratio)))
        return scaled - tweedie(prior, prior.sde.marginal_prob(t)[0] * scaled, t)

    def kernel(key, x, t, t_next):
        first, last = (jnp.log(noise_to_signal(prior.sde, s)) for s in (t, t_next))
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Tsit5(),
            t0=first,
            t1=last,
            dt0=None,
            y0=x / prior.sde.marginal_prob(t)[0],
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
            max_steps=max_steps,
        )
        return prior.sde.marginal_prob(t_next)[0] * solution.ys[0]

    return kernel
