"""Decomposed diffusion sampling (Chung, Lee, Ye, ICLR 2024): conjugate gradients on the denoised image, then DDIM."""

import jax.numpy as jnp

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, cg_consistency, zero_start
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.predictors import ddim
from scoreinv.typing import Scalar, Times


def dds(
    prior: Prior,
    *,
    times: Times,
    eta: Scalar,
    gamma: Scalar = 5.0,
    cg_steps: int = 5,
    start: Start = zero_start,
) -> Reconstruct:
    """DDS: M conjugate-gradient steps on the denoised image, then a DDIM step with the network's own noise.

    A measurement with noise_std = 0 takes the noise-free problem min |y - A x|^2 started at the denoised image, a noisy
    one (gamma A^H A + I) x = x_0 + gamma A^H y; noise_std is data, so both are one program.

    Args:
        prior: the prior.
        times: N + 1 descending times; the method makes N + 1 network calls.
        eta: DDIM's noise; the paper raises it with the number of calls: 0.15, 0.5, 0.85 at 20, 50, 100.
        gamma: weight of noisy data, in the unit of (A^H A)^-1.
        cg_steps: M, the number of conjugate-gradient steps; more is not better.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].

    >>> jax.jit(scoreinv.dds(prior, times=times, eta=0.85))(key, measurement).shape
    (8, 8, 1)
    """

    def method(measurement):
        damping = jnp.where(measurement.noise_std > 0, 1.0 / gamma, 0.0)
        consistency = cg_consistency(measurement, damping, cg_steps)

        def finish(x):
            return consistency(tweedie(prior, x, times[-1]), times[-1])

        return Iteration(ddim(prior, eta, consistency), finish)

    return from_noise(prior.sde, times, start, method)
