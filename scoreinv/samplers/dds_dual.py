"""DDS with the dual variable of ADMM (after Du et al. 2026, "Plug-and-Play Diffusion Meets ADMM", arXiv 2602.23214)."""

import jax.numpy as jnp

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, zero_start
from scoreinv.samplers.data_terms import data_solver
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.predictors import ancestral_std, network_noise, renoise
from scoreinv.typing import Scalar, Times


def dds_dual(
    prior: Prior,
    *,
    times: Times,
    eta: Scalar,
    gamma: Scalar = 5.0,
    memory: Scalar = 1.0,
    cg_steps: int = 5,
    start: Start = zero_start,
) -> Reconstruct:
    """ADMM along the noise levels: x <- data step at x_0 - u, u <- memory (u + x - x_0), and re-noise x + u.

    x_0 is the denoised image and u the scaled dual variable, which integrates what the data step had to correct; the
    network's noise is kept as in DDS. The spectral whitening of the residual in the paper is not part of this.

    Args:
        prior: the prior.
        times: N + 1 descending times.
        eta: DDIM's noise.
        gamma: weight of noisy data, in the unit of (A^H A)^-1; exact data (noise_std = 0) are fitted exactly.
        memory: 1 is ADMM, 0 is `dds`.
        cg_steps: conjugate-gradient steps of the data step.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        damping = jnp.where(measurement.noise_std > 0, 1.0 / gamma, 0.0)
        solve = data_solver(measurement, cg_steps)

        def kernel(key, state, t, t_next):
            x, dual = state
            denoised = tweedie(prior, x, t)
            noise = network_noise(prior.sde, x, denoised, t)
            fitted = solve(denoised - dual, damping)
            dual = memory * (dual + fitted - denoised)
            fresh = eta * ancestral_std(prior.sde, t, t_next)
            return renoise(key, prior.sde, fitted + dual, noise, t_next, fresh), dual

        def finish(state):
            x, dual = state
            return solve(tweedie(prior, x, times[-1]) - dual, damping)

        return Iteration(kernel, finish, lambda x: (x, jnp.zeros_like(x)))

    return from_noise(prior.sde, times, start, method)
