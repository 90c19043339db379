"""Split Gibbs sampling with a diffusion prior, PnP-DM (Wu et al., NeurIPS 2024)."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, integrate, tweedie
from scoreinv.samplers.conditioning import Start, zero_start
from scoreinv.samplers.data_terms import posterior_draw
from scoreinv.samplers.frame import Iteration, from_image
from scoreinv.samplers.predictors import ancestral
from scoreinv.samplers.solvers import noise_to_signal
from scoreinv.samplers.times import karras_times
from scoreinv.typing import Image, Scalar, Time, Times


def split_gibbs(
    prior: Prior,
    *,
    times: Times,
    sigma_min: Scalar = 0.01,
    prior_steps: int = 20,
    cg_steps: int = 10,
    start: Start = zero_start,
) -> Reconstruct:
    """PnP-DM: alternates u ~ p(u | x, y) exactly and x ~ p(x | u) by the reverse diffusion from level rho.

    The coupling rho = sigma/alpha descends along `times`. At a constant rho the images x follow the posterior of a
    measurement whose noise variance is noise_std^2 + rho^2 for an orthonormal operator: rho must end well below the
    noise or the detail that matters (Wu et al. 2024, algorithm 1).

    Args:
        prior: the prior.
        times: N + 1 descending times, the couplings; each is visited.
        sigma_min: noise level at which the reverse diffusion is ended by denoising.
        prior_steps: network calls of the reverse diffusion, at least 2.
        cg_steps: conjugate-gradient steps of the exact Gaussian draw.
        start: initial image.

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        def kernel(key, x, t, t_next):
            draw_key, denoise_key = jax.random.split(key)
            u = posterior_draw(draw_key, measurement, x, noise_to_signal(prior.sde, t), cg_steps)
            return prior_draw(denoise_key, prior, u, t, sigma_min, prior_steps)

        return Iteration(kernel, lambda x: x)

    return from_image(times, start, method)


def prior_draw(key: PRNGKeyArray, prior: Prior, u: Image, t: Time, sigma_min: Scalar, steps: int) -> Image:
    """A draw from p(x_0 | x_0 + sigma/alpha z = u) by ancestral sampling, in `steps` network calls."""
    rho = noise_to_signal(prior.sde, t)
    levels = karras_times(prior.sde, steps - 1, jnp.minimum(sigma_min, rho), rho)
    x = integrate(ancestral(prior), key, prior.sde.marginal_prob(t)[0] * u, levels)
    return tweedie(prior, x, levels[-1])
