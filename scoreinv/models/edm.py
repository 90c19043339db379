"""EDM preconditioning: a denoiser and a score from a network with unit-variance input and target.

Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, table 1.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.sde import SDE

Images = Float[Array, "N H W C"]
Network = Callable[[Images, Float[Array, " N"]], Images]


def edm_denoise(apply_fn: Network, x: Images, sigma: Float[Array, " N"], sigma_data: float) -> Images:
    """The denoiser D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) (Karras et al. 2022, eq. 7 and table 1).

    c_skip = sigma_data^2 / (sigma^2 + sigma_data^2), c_in = (sigma^2 + sigma_data^2)^(-1/2),
    c_out = sigma sigma_data c_in, c_noise = log(sigma) / 4.

    Args:
        apply_fn: raw network F (inputs [N, H, W, C], labels [N]) -> [N, H, W, C]. It is given the label
            exp(c_noise) = sigma^(1/4), because NCSN++ embeds the logarithm of its label. Build it with
            scale_by_sigma=False, data_centered=True and a small fourier_scale (1 is smooth, 16 is not).
        x: noisy images x_0 + sigma z.
        sigma: noise levels, in image intensity.
        sigma_data: root mean square of the data, in image intensity.

    Returns:
        Denoised images [N, H, W, C].
    """
    total = sigma**2 + sigma_data**2
    c_skip, c_in = sigma_data**2 / total, 1 / jnp.sqrt(total)
    c_out = sigma * sigma_data * c_in
    network = apply_fn(x * _per_image(c_in), sigma**0.25)
    return _per_image(c_skip) * x + _per_image(c_out) * network


def edm_score(apply_fn: Network, sde: SDE, x: Images, t: Float[Array, ""], sigma_data: float) -> Images:
    """The score of x_t = alpha x_0 + sigma z from an EDM denoiser, for any SDE with Gaussian marginals.

    x_t / alpha is x_0 with noise of level sigma / alpha, so the score is
    (alpha D(x_t / alpha; sigma / alpha) - x_t) / sigma^2.

    Args:
        apply_fn: raw network, as in `edm_denoise`.
        sde: the diffusion x_t follows.
        x: states x_t [N, H, W, C], all at time t.
        t: time in (0, 1].
        sigma_data: root mean square of the data, in image intensity.

    Returns:
        grad_x log p_t(x) [N, H, W, C].
    """
    alpha, sigma = sde.marginal_prob(t)
    noise_to_signal = jnp.broadcast_to(sigma / alpha, x.shape[:1])
    denoised = edm_denoise(apply_fn, x / alpha, noise_to_signal, sigma_data)
    return (alpha * denoised - x) / sigma**2


def _per_image(coefficient):
    return coefficient[:, None, None, None]
