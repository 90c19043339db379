"""The two hooks by which a measurement enters a sampler.

The first acts on the state x_t and is a kernel (`proximal`). The second acts on the denoised image x_0, or on the
score, which by Tweedie's formula is the same (`condition`): it turns a prior into a conditioned prior that every
predictor and corrector takes as it is.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from scoreinv.operators.base import Measurement
from scoreinv.operators.linear_solvers import inner
from scoreinv.prior import Prior
from scoreinv.samplers.base import Kernel, tweedie
from scoreinv.samplers.data_terms import Guidance, black, data_solver
from scoreinv.sde import SDE
from scoreinv.typing import Image, Scalar, Time

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


def image_noise(measurement: Measurement) -> Scalar:
    """Standard deviation of the measurement's noise in the image A^+ y, per direction that A measures.

    noise_std |A^+ w| / |A A^+ w| for one random w: noise_std / g exactly where A has the one gain g, the root mean
    square over directions elsewhere.
    """
    y, operator, noise_std = measurement
    signs = jax.random.rademacher(jax.random.key(0), y.shape, jnp.float32)
    image = operator.pseudo_inverse((operator.mask * signs).astype(y.dtype))
    seen = operator(image)
    return noise_std * jnp.sqrt(inner(image, image) / inner(seen, seen))


def proximal(sde: SDE, measurement: Measurement, lam: Scalar, noise_std: Scalar = 0.0) -> Kernel:
    """Proximal step towards the diffused measurement (Song et al. 2022, theorem 1, in correction form).

    x <- x + lam A^+ (y_t - A x),  y_t = alpha y + sigma A z with fresh z ~ N(0, I) in image space.

    With a `noise_std` above 0 lam follows the noise: y = A x_0 + n is itself a state of the diffusion, the one at
    sigma / alpha = noise_std. Above this level it lacks noise of variance sigma^2 - (alpha noise_std)^2, which is what
    y_t gets instead of sigma^2; below it, lam = 0. For A with one gain, A y_t is then exactly a diffused A x_0.

    Args:
        sde: the diffusion of the state.
        measurement: what was measured.
        lam: 0 ignores the measurement, 1 imposes it; published for noisy data with values below 1, set by hand.
        noise_std: the noise in the image (`image_noise`), or 0 for the published step.

    Returns:
        The kernel; it leaves the noise level where it is and calls no network.
    """

    def kernel(key, x, t, t_next):
        alpha, sigma = sde.marginal_prob(t)
        lacking = jnp.sqrt(jnp.maximum(sigma**2 - (alpha * noise_std) ** 2, 0.0))
        z = jax.random.normal(key, x.shape)
        residual = alpha * measurement.y + measurement.operator(lacking * z - x)  # y_t - A x with one A
        strength = following(sde, t, lam, noise_std)
        return x + strength * measurement.operator.pseudo_inverse(residual)

    return kernel


def following(sde: SDE, t: Time, lam: Scalar, noise_std: Scalar) -> Scalar:
    """lam at noise levels sigma/alpha at or above that of the data, 0 below."""
    alpha, sigma = sde.marginal_prob(t)
    return jnp.where(sigma >= alpha * noise_std, lam, 0.0)


def noisier_data_score(sde: SDE, measurement: Measurement, noise_std: Scalar) -> Guidance:
    """grad_x log p(y | x_t) below the noise level of the data, where y is x_t with more noise; 0 above it.

    Going up the diffusion from x_t (sigma / alpha < noise_std) to the level of y adds noise of variance
    v = noise_std^2 - (sigma / alpha)^2, so the score is A^+ (y - A x_t / alpha) / (alpha v). A predictor needs none of
    it, since x_next is independent of y given x_t; a Langevin corrector does, or it would forget the data. v is kept
    above (sigma / alpha)^2, so that steps of that size stay stable just below the noise level.

    Args:
        sde: the diffusion of the state.
        measurement: what was measured.
        noise_std: the noise in the image (`image_noise`).

    Returns:
        The guidance.
    """
    y, operator, _ = measurement

    def guidance(x, t):
        alpha, sigma = sde.marginal_prob(t)
        variance = jnp.maximum((alpha * noise_std) ** 2 - sigma**2, sigma**2)
        pull = operator.pseudo_inverse(alpha * y - operator(x)) / variance
        return jnp.where(sigma < alpha * noise_std, 1.0, 0.0) * pull

    return guidance


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
    solve = data_solver(measurement, cg_steps)
    return lambda x, t: solve(x, damping)


def guide(prior: Prior, guidance: Guidance) -> Prior:
    """The prior whose score is score + guidance(x, t).

    Args:
        prior: the unconditional prior.
        guidance: approximation of grad_x log p(y | x_t).

    Returns:
        A prior for use inside the same trace.
    """
    return replace(prior, score_fn=lambda x, t: prior.score_fn(x, t) + guidance(x, t))
