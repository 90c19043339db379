"""Denoising diffusion models for plug-and-play restoration (Zhu et al., CVPR workshops 2023)."""

import jax.numpy as jnp

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, condition, zero_start
from scoreinv.samplers.data_terms import data_solver
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.predictors import network_noise, renoise
from scoreinv.typing import Scalar, Times


def diffpir(
    prior: Prior,
    *,
    times: Times,
    zeta: Scalar = 0.3,
    lam: Scalar = 1.0,
    cg_steps: int = 5,
    start: Start = zero_start,
) -> Reconstruct:
    """DiffPIR: x_0 <- argmin |y - A x|^2 / (2 noise_std^2) + lam (alpha / sigma)^2 |x - x_0|^2 / 2, then re-noise.

    The noise of the step is derived from the moved x_0, with the fraction zeta of its variance drawn anew (Zhu et al.
    2023, algorithm 1).

    Args:
        prior: the prior.
        times: N + 1 descending times.
        zeta: fraction of the noise variance drawn anew at each step, in [0, 1].
        lam: weight of the prior relative to the noise level.
        cg_steps: conjugate-gradient steps of the minimisation.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].

    >>> jax.jit(scoreinv.diffpir(prior, times=times))(key, measurement).shape
    (8, 8, 1)
    """

    def method(measurement):
        noise_std, solve = measurement.noise_std, data_solver(measurement, cg_steps)

        def consistency(denoised, t):
            alpha, sigma = prior.sde.marginal_prob(t)
            return solve(denoised, lam * (noise_std * alpha / sigma) ** 2)

        conditioned = condition(prior, consistency)

        def kernel(key, x, t, t_next):
            denoised = tweedie(conditioned, x, t)
            fresh = jnp.sqrt(zeta) * prior.sde.marginal_prob(t_next)[1]
            return renoise(key, prior.sde, denoised, network_noise(prior.sde, x, denoised, t), t_next, fresh)

        return Iteration(kernel, lambda x: tweedie(conditioned, x, times[-1]))

    return from_noise(prior.sde, times, start, method)
