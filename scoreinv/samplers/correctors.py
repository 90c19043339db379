"""Correctors: Langevin kernels that leave the noise level where it is.

In both, `alpha` is the squared ratio of signal between the two levels, (alpha_t / alpha_next)^2: 1 for VE, 1 - beta_i
for VP, as in the samplers of Song et al. 2021. One network call per application.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scoreinv.prior import Prior
from scoreinv.samplers.base import Kernel
from scoreinv.sde import SDE
from scoreinv.typing import Image, Scalar, Time


def _signal_ratio(sde: SDE, t: Time, t_next: Time) -> Scalar:
    return (sde.marginal_prob(t)[0] / sde.marginal_prob(t_next)[0]) ** 2


def _kernel(prior: Prior, step_length: Callable[[Image, Image, Time], Scalar]) -> Kernel:
    """Langevin steps of the length 2 alpha step_length(score, noise, t)^2."""

    def kernel(key, x, t, t_next):
        score, z = prior.score_fn(x, t), jax.random.normal(key, x.shape)
        step = 2 * _signal_ratio(prior.sde, t, t_next) * step_length(score, z, t) ** 2
        return x + step * score + jnp.sqrt(2 * step) * z

    return kernel


def langevin(prior: Prior, snr: Scalar) -> Kernel:
    """Langevin corrector with step 2 alpha (snr |z| / |s|)^2 (Song et al. 2021, algorithms 4 and 5).

    The norms are those of this one image. On a Gaussian of standard deviation v its stationary standard deviation is
    v sqrt(1 + snr^2): a large snr trades accuracy for speed.

    Args:
        prior: the prior, or a conditioned one.
        snr: signal-to-noise ratio of a step.

    Returns:
        The kernel.
    """

    def step_length(score, z, _):
        return snr * (jnp.linalg.norm(z.ravel()) / jnp.maximum(jnp.linalg.norm(score.ravel()), 1e-12))

    return _kernel(prior, step_length)


def annealed_langevin(prior: Prior, snr: Scalar) -> Kernel:
    """Annealed Langevin dynamics with step 2 alpha (snr sigma)^2 (Song and Ermon 2019; Jalal et al. 2021).

    Args:
        prior: the prior, or a conditioned one.
        snr: signal-to-noise ratio of a step.

    Returns:
        The kernel.
    """

    return _kernel(prior, lambda score, z, t: snr * prior.sde.marginal_prob(t)[1])
