"""Denoising diffusion null-space model, DDNM and DDNM+ (Wang, Yu, Zhang, ICLR 2023)."""

import jax
import jax.numpy as jnp

from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.samplers.base import Kernel, Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, image_noise, project, zero_start
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.predictors import ancestral_std
from scoreinv.typing import Scalar, Times


def ddnm(
    prior: Prior,
    *,
    times: Times,
    eta: Scalar = 1.0,
    lam: Scalar = 1.0,
    start: Start = zero_start,
) -> Reconstruct:
    """DDNM: x_0 <- x_0 + lam A^+ (y - A x_0), then p(x_next | x_t, x_0) (Wang et al. 2023, eq. 13 and 14).

    Noisy data (noise_std > 0) take DDNM+ (eq. 17 to 19): the noise of y counts as part of the step's, and lam shrinks
    where it is more than that. The two are one program. A step that draws no noise (eta = 0) then ignores the data.

    Args:
        prior: the prior.
        times: N + 1 descending times; the method makes N + 1 network calls.
        eta: noise of the step; 1 is the published ancestral one.
        lam: 1 is DDNM; less trusts the data less.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].

    >>> jax.jit(scoreinv.ddnm(prior, times=times))(key, measurement).shape
    (8, 8, 1)
    """

    def method(measurement):
        # The last step of DDNM+ has no noise to hide that of the data in, and leaves the denoised image as it is.
        strength = jnp.where(measurement.noise_std > 0, 0.0, lam)

        def finish(x):
            return project(measurement, tweedie(prior, x, times[-1]), strength)

        return Iteration(ddnm_step(prior, measurement, eta, lam), finish)

    return from_noise(prior.sde, times, start, method)


def ddnm_step(prior: Prior, measurement: Measurement, eta: Scalar, lam: Scalar) -> Kernel:
    """One step of `ddnm`; same arguments.

    x_next = kept / sigma x + a (x_0 + lam_t A^+ (y - A x_0)) + noise, where a is the weight of x_0 and the noise has
    the variance fresh^2 off the range of A^+, and fresh^2 - (a lam_t image_noise)^2 in it.
    """
    y, operator, _ = measurement
    noise_std = image_noise(measurement)

    def kernel(key, x, t, t_next):
        (alpha, sigma), (alpha_next, sigma_next) = prior.sde.marginal_prob(t), prior.sde.marginal_prob(t_next)
        fresh = eta * ancestral_std(prior.sde, t, t_next)
        kept = jnp.sqrt(jnp.maximum(sigma_next**2 - fresh**2, 0.0)) / sigma
        a = alpha_next - kept * alpha
        carried = a * noise_std  # what the noise of y adds to x_next at lam = 1
        strength = lam * jnp.where(carried > fresh, fresh / jnp.maximum(carried, 1e-12), 1.0)
        inside = jnp.sqrt(jnp.maximum(fresh**2 - (strength * carried) ** 2, 0.0))
        z = jax.random.normal(key, x.shape)
        denoised = tweedie(prior, x, t)
        moved = a * strength * y - operator(a * strength * denoised + (fresh - inside) * z)
        return kept * x + a * denoised + fresh * z + operator.pseudo_inverse(moved)

    return kernel
