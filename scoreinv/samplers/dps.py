"""Diffusion posterior sampling (Chung et al., ICLR 2023): a gradient step on the residual, through the network."""

import jax
import jax.numpy as jnp

from scoreinv.operators.base import Measurement
from scoreinv.operators.linear_solvers import inner
from scoreinv.prior import Prior
from scoreinv.samplers.base import Kernel, Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, zero_start
from scoreinv.samplers.data_terms import squared_norm
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.predictors import ancestral_std, network_noise, renoise
from scoreinv.sde import SDE
from scoreinv.typing import Scalar, Time, Times


def dps(
    prior: Prior,
    *,
    times: Times,
    zeta: Scalar = 1.0,
    eta: Scalar = 1.0,
    start: Start = zero_start,
) -> Reconstruct:
    """DPS: x_next <- ancestral step - zeta grad_x |y - A x_0(x)| (Chung et al. 2023, algorithm 1).

    Each step costs one network call and one pass backwards through the network (a prior loaded with remat=True saves
    memory). `noise_std` is not used: the step length, not the noise level, decides how far the residual is fitted.

    Args:
        prior: the prior.
        times: N + 1 descending times.
        zeta: step length in the variance-preserving scale, for operators of norm 1.
        eta: noise of the DDIM step; 1 is the published ancestral one.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        return Iteration(dps_step(prior, measurement, zeta, eta), lambda x: tweedie(prior, x, times[-1]))

    return from_noise(prior.sde, times, start, method)


def dps_step(prior: Prior, measurement: Measurement, zeta: Scalar, eta: Scalar) -> Kernel:
    """One step of `dps`, also that of `mcg`; same arguments."""
    sde, (y, operator, _) = prior.sde, measurement
    step_length = zeta / jnp.sqrt(squared_norm(measurement))

    def kernel(key, x, t, t_next):
        denoised, pull_back = jax.vjp(lambda v: tweedie(prior, v, t), x)
        residual = y - operator(denoised)
        length = jnp.sqrt(inner(residual, residual))
        (descent,) = pull_back(operator.adjoint(residual) / jnp.maximum(length, 1e-12))
        fresh = eta * ancestral_std(sde, t, t_next)
        x_next = renoise(key, sde, denoised, network_noise(sde, x, denoised, t), t_next, fresh)
        return x_next + step_length * _scale(sde, t) * _scale(sde, t_next) * descent

    return kernel


def _scale(sde: SDE, t: Time) -> Scalar:
    # x / scale is the variance-preserving state, in which zeta was published; the gradient brings a second factor.
    alpha, sigma = sde.marginal_prob(t)
    return jnp.sqrt(alpha**2 + sigma**2)
