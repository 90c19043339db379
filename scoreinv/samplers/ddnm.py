"""Denoising diffusion null-space model (Wang, Yu, Zhang, ICLR 2023): A^+ on the denoised image, then DDIM."""

import jax
from jaxtyping import Array, Float

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, integrate, tweedie
from scoreinv.samplers.conditioning import Start, condition, diffuse, pseudo_inverse_consistency, zero_start
from scoreinv.samplers.predictors import ddim

Scalar = Float[Array, ""] | float


def ddnm(
    prior: Prior,
    *,
    times: Float[Array, " levels"],
    eta: Scalar = 1.0,
    lam: Scalar = 1.0,
    start: Start = zero_start,
) -> Reconstruct:
    """DDNM: x_0 <- x_0 + lam A^+ (y - A x_0), then p(x_next | x_t, x_0) (Wang et al. 2023, eq. 13 and 14).

    Args:
        prior: the prior.
        times: N + 1 descending times; the method makes N + 1 network calls.
        eta: noise of the step; 1 is the published ancestral one.
        lam: 1 is DDNM; less trusts noisy data less.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def reconstruct(key, measurement):
        start_key, key = jax.random.split(key)
        conditioned = condition(prior, pseudo_inverse_consistency(measurement, lam))
        x = diffuse(start_key, prior.sde, start(measurement), times[0])
        x = integrate(ddim(conditioned, eta), key, x, times)
        return tweedie(conditioned, x, times[-1])

    return reconstruct


def network_calls(steps: int) -> int:
    """Network calls per image for `steps` = N."""
    return steps + 1
