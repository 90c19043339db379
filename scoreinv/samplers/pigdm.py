"""Pseudo-inverse guidance (Song, Vahdat, Mardani, Kautz, ICLR 2023)."""

from dataclasses import replace

import jax

from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, zero_start
from scoreinv.samplers.data_terms import data_solver
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.predictors import ddim
from scoreinv.typing import Scalar, Times


def pigdm(
    prior: Prior,
    *,
    times: Times,
    eta: Scalar = 1.0,
    data_std: Scalar = 1.0,
    cg_steps: int = 5,
    start: Start = zero_start,
) -> Reconstruct:
    """PiGDM: score + (d x_0 / d x)^T A^H (r^2 A A^H + noise_std^2 I)^-1 (y - A x_0) in a DDIM step.

    r^2 = data_std^2 sigma^2 / (alpha^2 data_std^2 + sigma^2) is the variance of x_0 given x_t for Gaussian data of
    standard deviation data_std (published with 1); with the right one the method samples a Gaussian's posterior
    exactly. The guided score is used as it is, not with the published additional weight of the DDIM step. Each step
    costs one network call and one pass backwards through the network (a prior loaded with remat=True saves memory).

    Args:
        prior: the prior.
        times: N + 1 descending times.
        eta: noise of the DDIM step.
        data_std: standard deviation of the images, in their unit.
        cg_steps: conjugate-gradient steps for the inverse.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        guided = pseudo_inverse_guided(prior, measurement, data_std, cg_steps)
        return Iteration(ddim(guided, eta), lambda x: tweedie(guided, x, times[-1]))

    return from_noise(prior.sde, times, start, method)


def pseudo_inverse_guided(prior: Prior, measurement: Measurement, data_std: Scalar, cg_steps: int) -> Prior:
    """The prior with the guided score of `pigdm`; same arguments."""
    noise_std, solve = measurement.noise_std, data_solver(measurement, cg_steps)

    def score_fn(x, t):
        alpha, sigma = prior.sde.marginal_prob(t)
        variance = (data_std * sigma) ** 2 / ((alpha * data_std) ** 2 + sigma**2)
        denoised, pull_back = jax.vjp(lambda v: tweedie(prior, v, t), x)
        correction = solve(denoised, noise_std**2 / variance) - denoised
        (guidance,) = pull_back(correction / variance)
        return (alpha * denoised - x) / sigma**2 + guidance

    return replace(prior, score_fn=score_fn)
