"""The two hooks by which a measurement enters a sampler.

The first acts on the state x_t and is a kernel (`proximal`). The second acts on the denoised image x_0, or on the
score, which by Tweedie's formula is the same (`condition`): it turns a prior into a conditioned prior that every
predictor and corrector takes as it is.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.samplers.base import Image, Kernel, Time, tweedie
from scoreinv.samplers.data_terms import Guidance, black, data_step
from scoreinv.sde import SDE

Scalar = Float[Array, ""] | float
# Moves a denoised image towards the measurement; t is the noise level of the state it came from.
Consistency = Callable[[Image, Time], Image]
# Where a sampler starts: the image that is noised to the first level.
Start = Callable[[Measurement], Image]


def unchanged(x: Image, t: Time) -> Image:
    """The consistency of an unconditional sampler."""
    return x


def zero_start(measurement: Measurement) -> Image:
    """A black image: the sampler starts from pure noise."""
    return black(measurement.operator, measurement.y)


def pseudo_inverse_start(measurement: Measurement) -> Image:
    """A^+ y, for samplers that start at a moderate noise level."""
    return measurement.operator.pseudo_inverse(measurement.y)


def diffuse(key: PRNGKeyArray, sde: SDE, x: Image, t: Time) -> Image:
    """Draws x_t ~ N(alpha x, sigma^2 I)."""
    alpha, sigma = sde.marginal_prob(t)
    return alpha * x + sigma * jax.random.normal(key, x.shape)


def project(measurement: Measurement, x: Image, lam: Scalar = 1.0) -> Image:
    """The noiseless proximal step x + lam A^+ (y - A x)."""
    operator = measurement.operator
    return x + lam * operator.pseudo_inverse(measurement.y - operator(x))


def proximal(sde: SDE, measurement: Measurement, lam: Scalar) -> Kernel:
    """Proximal step towards the diffused measurement (Song et al. 2022, theorem 1, in correction form).

    x <- x + lam A^+ (y_t - A x),  y_t = alpha y + sigma A z with fresh z ~ N(0, I) in image space.

    Args:
        sde: the diffusion of the state.
        measurement: what was measured.
        lam: 0 ignores the measurement, 1 imposes it; noisy data want less than 1.

    Returns:
        The kernel; it leaves the noise level where it is and calls no network.
    """

    def kernel(key, x, t, t_next):
        alpha, sigma = sde.marginal_prob(t)
        z = jax.random.normal(key, x.shape)
        residual = alpha * measurement.y + measurement.operator(sigma * z - x)  # y_t - A x with one A
        return x + lam * measurement.operator.pseudo_inverse(residual)

    return kernel


def condition(prior: Prior, consistency: Consistency) -> Prior:
    """The prior whose denoised image is consistency(E[x_0 | x_t]); its score follows from Tweedie's formula.

    Args:
        prior: the unconditional prior.
        consistency: move of the denoised image towards the measurement.

    Returns:
        A prior for use inside the same trace (its score closes over the measurement).
    """

    def score_fn(x, t):
        alpha, sigma = prior.sde.marginal_prob(t)
        return (alpha * consistency(tweedie(prior, x, t), t) - x) / sigma**2

    return replace(prior, score_fn=score_fn)


def pseudo_inverse_consistency(measurement: Measurement, lam: Scalar = 1.0) -> Consistency:
    """x_0 <- x_0 + lam A^+ (y - A x_0) (DDNM, Wang et al. 2023, eq. 13 at lam = 1)."""
    return lambda x, t: project(measurement, x, lam)


def cg_consistency(measurement: Measurement, damping: Scalar, cg_steps: int) -> Consistency:
    """Conjugate-gradient steps on (A^H A + damping I) x = A^H y + damping x_0, started at x_0 (Chung et al. 2024).

    damping = 0 is the noise-free problem min |y - A x|^2; damping = 1/gamma the noisy one, (gamma A^H A + I) x = x_0 +
    gamma A^H y, scaled by 1/gamma (which conjugate gradients do not notice).

    Args:
        measurement: what was measured.
        damping: weight of staying at x_0, in the unit of A^H A.
        cg_steps: number of iterations.

    Returns:
        The consistency.
    """
    y, operator, _ = measurement
    return lambda x, t: x + data_step(operator, y - operator(x), damping, cg_steps)


def guide(prior: Prior, guidance: Guidance) -> Prior:
    """The prior whose score is score + guidance(x, t).

    Args:
        prior: the unconditional prior.
        guidance: approximation of grad_x log p(y | x_t).

    Returns:
        A prior for use inside the same trace.
    """
    return replace(prior, score_fn=lambda x, t: prior.score_fn(x, t) + guidance(x, t))


def channelwise(prior: Prior, channels: int) -> Prior:
    """A one-channel prior used on each channel of an image: on real and imaginary part (Chung and Ye 2022).

    Args:
        prior: prior of one-channel images.
        channels: number of channels of the images it is to serve.

    Returns:
        The prior of [H, W, channels] images with independent channels.

    Raises:
        ValueError: if the prior has more than one channel.
    """
    height, width, own = prior.shape
    if own != 1:
        raise ValueError(f"channelwise needs a prior of 1 channel, got one of {own}; use it as it is")

    def score_fn(x, t):
        return jax.vmap(lambda plane: prior.score_fn(plane[..., None], t)[..., 0], -1, -1)(x)

    return replace(prior, score_fn=score_fn, shape=(height, width, channels))
