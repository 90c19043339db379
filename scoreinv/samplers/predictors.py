"""Predictors: kernels that move a state from noise level t to t_next.

All are written in the exact marginals of the SDE, so they serve VE, VP, sub-VP and EDM priors alike. With t > t_next
the forward transition is x_t = a x_next + G z, a = alpha_t / alpha_next, G^2 = sigma_t^2 - a^2 sigma_next^2. Each
costs one network call per step unless its docstring says otherwise.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from scoreinv.prior import Prior
from scoreinv.samplers.base import Kernel, tweedie
from scoreinv.samplers.conditioning import Consistency, unchanged
from scoreinv.sde import SDE
from scoreinv.typing import Image, Scalar, Time

Predictor = Callable[[Prior], Kernel]


def forward_transition(sde: SDE, t: Time, t_next: Time) -> tuple[Scalar, Scalar]:
    """(a, G^2) of x_t | x_next ~ N(a x_next, G^2 I) for t >= t_next."""
    alpha, sigma = sde.marginal_prob(t)
    alpha_next, sigma_next = sde.marginal_prob(t_next)
    a = alpha / alpha_next
    return a, jnp.maximum(sigma**2 - (a * sigma_next) ** 2, 0.0)


def reverse_diffusion(prior: Prior) -> Kernel:
    """Reverse diffusion predictor (Song et al. 2021, appendix E): x <- (2 - a) x + G^2 s + G z.

    Args:
        prior: the prior, or a conditioned one.

    Returns:
        The kernel. For VE and VP it is the published discretisation, for other SDEs its analogue.
    """

    def kernel(key, x, t, t_next):
        a, variance = forward_transition(prior.sde, t, t_next)
        z = jax.random.normal(key, x.shape)
        return (2 - a) * x + variance * prior.score_fn(x, t) + jnp.sqrt(variance) * z

    return kernel


def euler_maruyama(prior: Prior) -> Kernel:
    """Euler-Maruyama on the reverse SDE: x <- x + (f x - g^2 s) dt + g sqrt|dt| z (Song et al. 2021, eq. 6).

    Args:
        prior: the prior, or a conditioned one.

    Returns:
        The kernel, of weak order 1 in dt = t_next - t.
    """

    def kernel(key, x, t, t_next):
        drift, diffusion = prior.sde.sde(x, t)
        dt = t_next - t
        z = jax.random.normal(key, x.shape)
        reverse_drift = drift - diffusion**2 * prior.score_fn(x, t)
        return x + reverse_drift * dt + diffusion * jnp.sqrt(-dt) * z

    return kernel


def ancestral_std(sde: SDE, t: Time, t_next: Time) -> Scalar:
    """Standard deviation d of p(x_next | x_t, x_0): d = sigma_next G / sigma_t (Ho et al. 2020, eq. 7)."""
    _, variance = forward_transition(sde, t, t_next)
    return sde.marginal_prob(t_next)[1] * jnp.sqrt(variance) / sde.marginal_prob(t)[1]


def network_noise(sde: SDE, x: Image, denoised: Image, t: Time) -> Image:
    """The noise e in x = alpha denoised + sigma e."""
    alpha, sigma = sde.marginal_prob(t)
    return (x - alpha * denoised) / sigma


def renoise(key: PRNGKeyArray, sde: SDE, denoised: Image, noise: Image, t_next: Time, fresh: Scalar) -> Image:
    """alpha denoised + sqrt(sigma^2 - fresh^2) noise + fresh z: noise sigma in all at t_next, `fresh` of it new."""
    alpha, sigma = sde.marginal_prob(t_next)
    kept = jnp.sqrt(jnp.maximum(sigma**2 - fresh**2, 0.0))
    return alpha * denoised + kept * noise + fresh * jax.random.normal(key, noise.shape)


def ddim(prior: Prior, eta: Scalar, consistency: Consistency = unchanged) -> Kernel:
    """DDIM step (Song, Meng, Ermon 2021, eq. 12) in general marginals, with an optional move of the denoised image.

    x <- alpha_next x0 + sqrt(sigma_next^2 - (eta d)^2) e + eta d z, where d is `ancestral_std`, e is the network's
    noise and x0 = consistency(denoised image). Order 1 in log(sigma/alpha).

    Args:
        prior: the prior, or a conditioned one (then e follows the conditioned denoised image as well).
        eta: 0 is the probability flow ODE, 1 the ancestral sampler, up to sigma_next / d all noise is fresh.
        consistency: move of the denoised image towards the measurement; e stays the network's.

    Returns:
        The kernel.
    """

    def kernel(key, x, t, t_next):
        denoised = tweedie(prior, x, t)
        noise = network_noise(prior.sde, x, denoised, t)
        fresh = eta * ancestral_std(prior.sde, t, t_next)
        return renoise(key, prior.sde, consistency(denoised, t), noise, t_next, fresh)

    return kernel


def ancestral(prior: Prior) -> Kernel:
    """Ancestral sampling: draws x_next from p(x_next | x_t, x_0 = denoised image) (Ho et al. 2020, eq. 7).

    For VE its noise variance is sigma_next^2 (sigma^2 - sigma_next^2) / sigma^2 (Song et al. 2021, appendix F).

    Args:
        prior: the prior, or a conditioned one.

    Returns:
        The kernel, equal to `ddim` with eta = 1.
    """
    return ddim(prior, 1.0)
