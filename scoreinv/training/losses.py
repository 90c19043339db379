"""Training losses of one image: denoising score matching and EDM's weighted denoising."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from scoreinv.prior import ScoreFn
from scoreinv.sde import SDE
from scoreinv.typing import Image, Scalar, Time

Denoiser = Callable[[Image, Scalar], Image]


def denoising_score_matching(key: PRNGKeyArray, score_fn: ScoreFn, sde: SDE, x: Image, t_min: float = 1e-5) -> Scalar:
    """Denoising score matching with the likelihood-free weight sigma^2 (Song et al. 2021, eq. 7).

    mean |sigma(t) s(alpha x + sigma z, t) + z|^2 over t ~ U[t_min, 1], z ~ N(0, I).

    Args:
        key: PRNG key of t and z.
        score_fn: the score being trained.
        sde: the forward diffusion.
        x: clean image [H, W, C].
        t_min: smallest time, 1e-5 for VE and 1e-3 for VP and sub-VP.

    Returns:
        The loss [], averaged over pixels.
    """
    key_t, key_z = jax.random.split(key)
    return score_matching_at(key_z, score_fn, sde, x, jax.random.uniform(key_t, minval=t_min, maxval=1.0))


def score_matching_at(key: PRNGKeyArray, score_fn: ScoreFn, sde: SDE, x: Image, t: Time) -> Scalar:
    """`denoising_score_matching` at one time, for validation by noise level."""
    z = jax.random.normal(key, x.shape)
    alpha, sigma = sde.marginal_prob(t)
    return jnp.mean((sigma * score_fn(alpha * x + sigma * z, t) + z) ** 2)


def edm_loss(
    key: PRNGKeyArray, denoiser: Denoiser, x: Image, sigma_data: float, log_mean: float = -1.2, log_std: float = 1.2
) -> Scalar:
    """EDM's denoising loss, unit weight on the network's own target (Karras et al. 2022, eq. 2 and table 1).

    (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 mean |D(x + sigma z; sigma) - x|^2,
    log sigma ~ N(log_mean, log_std^2).

    Args:
        key: PRNG key of sigma and z.
        denoiser: (noisy image [H, W, C], sigma []) -> denoised image [H, W, C].
        x: clean image [H, W, C].
        sigma_data: standard deviation of the data, in image intensity.
        log_mean: mean of log sigma.
        log_std: standard deviation of log sigma.

    Returns:
        The loss [], averaged over pixels; 1 is what a network that always outputs zero reaches.
    """
    key_sigma, key_z = jax.random.split(key)
    sigma = jnp.exp(log_mean + log_std * jax.random.normal(key_sigma))
    return edm_loss_at(key_z, denoiser, x, sigma, sigma_data)


def edm_loss_at(key: PRNGKeyArray, denoiser: Denoiser, x: Image, sigma: Scalar, sigma_data: float) -> Scalar:
    """`edm_loss` at one noise level, for validation by noise level."""
    noisy = x + sigma * jax.random.normal(key, x.shape)
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return weight * jnp.mean((denoiser(noisy, sigma) - x) ** 2)
