"""Plug-and-play restoration with an annealed denoiser (DPIR, Zhang et al., TPAMI 2022), and a randomised form of it."""

import jax

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, zero_start
from scoreinv.samplers.data_terms import data_solver
from scoreinv.samplers.frame import Iteration, from_image
from scoreinv.typing import Scalar, Times


def dpir(
    prior: Prior,
    *,
    times: Times,
    churn: Scalar = 0.0,
    momentum: Scalar = 0.0,
    lam: Scalar = 0.3,
    cg_steps: int = 5,
    start: Start = zero_start,
) -> Reconstruct:
    """Half-quadratic splitting: x <- argmin_v |y - A v|^2 / (2 noise_std^2) + lam |v - D(x)|^2 / (2 sigma^2).

    D is the prior's denoiser at the level sigma, which falls along `times` (Zhang et al. 2022, algorithm 1). At
    churn = 0 nothing is re-noised and the iteration tends to one image. churn > 0 denoises x + churn sigma z instead,
    and makes the results of several keys differ where the measurement leaves the image open. It is an estimator made
    for a small error, not a sampler of the posterior; tests/samplers/test_dpir.py derives its spread for a Gaussian
    prior.

    Args:
        prior: the prior.
        times: N + 1 descending times.
        churn: noise added before the denoiser, in units of its level; 1 is what the denoiser was trained on.
        momentum: x is extrapolated by this fraction of its last change.
        lam: weight of the prior relative to the noise level.
        cg_steps: conjugate-gradient steps of the minimisation.
        start: first image.

    Returns:
        (key, measurement) -> image [H, W, C].

    >>> jax.jit(scoreinv.dpir(prior, times=times))(key, measurement).shape
    (8, 8, 1)
    """

    def method(measurement):
        noise_std, solve = measurement.noise_std, data_solver(measurement, cg_steps)

        def kernel(key, state, t, t_next):
            x, before = state
            alpha, sigma = prior.sde.marginal_prob(t)
            noise = churn * sigma * jax.random.normal(key, x.shape)
            denoised = tweedie(prior, alpha * (x + momentum * (x - before)) + noise, t)
            return solve(denoised, lam * (noise_std * alpha / sigma) ** 2), x

        return Iteration(kernel, lambda state: state[0], lambda x: (x, x))

    return from_image(times, start, method)
