"""Annealed Langevin sampling of the posterior, preconditioned by the exact Gaussian likelihood."""

import jax
import jax.numpy as jnp

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, zero_start
from scoreinv.samplers.data_terms import black, perturbed_solution, standard_noise
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.solvers import noise_to_signal
from scoreinv.typing import Scalar, Times


def posterior_langevin(
    prior: Prior,
    *,
    times: Times,
    temper: Scalar = 1.0,
    cg_steps: int = 10,
    start: Start = zero_start,
) -> Reconstruct:
    """Langevin dynamics on p_rho(u)^(1/temper) p(y | u), with the prior diffused by rho = sigma/alpha, as rho falls.

    One step, with M = (A^H A / noise_std^2 + I / rho^2)^-1 and xi_k ~ N(0, M) of step k,

        u <- u + M grad log [p_rho(u) p(y | u)] + (xi_k + xi_{k+1}) / sqrt(2)
           = argmin_v |y' - A v|^2 / noise_std^2 + |v - D(u) - rho z|^2 / rho^2,

    is one network call (D is the denoiser) and one least-squares problem; y' and z are the data and zero with noise
    (Orieux et al. 2012). Averaging the noise of two steps makes the variance of a Gaussian posterior exact whatever the
    step (Leimkuhler and Matthews 2013). The likelihood is exact at every level; the prior is so as rho tends to zero.
    A direction that the prior holds to a standard deviation tau is sampled while rho is about tau: its variance ends
    too large by about one part in the number of steps per factor e of rho.

    Args:
        prior: the prior.
        times: N + 1 descending times; each is visited. They end well below the noise or the detail that matters.
        temper: above 1 the prior is flattened to its power 1/temper: a Gaussian one has `temper` times its variance.
        cg_steps: conjugate-gradient steps of the least-squares problem.
        start: first image, to which noise of the first level is added.

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def denoised(u, t):
        return tweedie(prior, prior.sde.marginal_prob(t)[0] * u, t)

    def method(measurement):
        quiet = black(measurement.operator, measurement.y), jnp.zeros_like(measurement.y)

        def kernel(key, state, t, t_next):
            u, before = state
            noise = standard_noise(key, measurement, u)
            averaged = jax.tree.map(lambda a, b: (a + b) / jnp.sqrt(2.0), before, noise)
            mean = u + (denoised(u, t) - u) / temper
            return perturbed_solution(measurement, mean, noise_to_signal(prior.sde, t), averaged, cg_steps), noise

        def finish(state):
            rho = noise_to_signal(prior.sde, times[-1])
            return perturbed_solution(measurement, denoised(state[0], times[-1]), rho, quiet, cg_steps)

        return Iteration(kernel, finish, lambda x: (x / prior.sde.marginal_prob(times[0])[0], quiet))

    return from_noise(prior.sde, times, start, method)
