"""What a linear measurement contributes: least-squares corrections, exact Gaussian draws, likelihood scores.

Everything is written with A and A^H alone, in the unit of the measurement, and is therefore the same for every
modality. `noise_std` of the measurement enters here; 0 is a valid value and means exact data.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, PRNGKeyArray

from scoreinv.operators.base import LinearOperator, Measurement, simulate
from scoreinv.operators.linear_solvers import conjugate_gradient, inner, ratio
from scoreinv.sde import SDE
from scoreinv.typing import Image, Scalar, Time

Coefficients = Inexact[Array, "..."]
# An addition to the score: an approximation of grad_x log p(y | x_t).
Guidance = Callable[[Image, Time], Image]
# Standard normal numbers of an image, and noise of its data.
Noise = tuple[Image, Coefficients]


def black(operator: LinearOperator, y: Coefficients) -> Image:
    """The zero image whose coefficients have the shape of y."""
    image = jax.eval_shape(operator.adjoint, y)
    return jnp.zeros(image.shape, image.dtype)


def data_step(operator: LinearOperator, residual: Coefficients, damping: Scalar, steps: int) -> Image:
    """Conjugate-gradient steps on min_d |residual - A d|^2 + damping |d|^2, started at d = 0.

    The recurrence is CGLS (Bjorck 1996, section 7.4): conjugate gradients on (A^H A + damping I) d = A^H residual,
    with A^H applied afresh to the shrinking residual. Plain conjugate gradients accumulate rounding errors in the null
    space of A and divide by them: after convergence in one step (a Fourier mask) the next steps grow without bound.

    Args:
        operator: A.
        residual: y - A x_0.
        damping: weight of |d|^2, in the unit of A^H A; may be 0.
        steps: number of steps, one A and one A^H each; it stops early where the gradient has shrunk a million times.

    Returns:
        The correction d [H, W, C].
    """

    def step(carry, _):
        d, r, p, gamma, largest = carry
        s = operator.adjoint(r) - damping * d
        gamma_next = inner(s, s)
        largest = jnp.maximum(largest, gamma_next)
        p = s + ratio(gamma_next, gamma) * p
        q = operator(p)
        a = ratio(gamma_next, inner(q, q) + damping * inner(p, p))
        a = jnp.where(gamma_next > 1e-12 * largest, a, 0.0)  # a gradient at rounding level: stay
        return (d + a * p, r - a * q, p, gamma_next, largest), None

    zero, none = black(operator, residual), jnp.zeros(())
    return jax.lax.scan(step, (zero, residual, zero, none, none), length=steps)[0][0]


def data_solver(measurement: Measurement, steps: int) -> Callable[[Image, Scalar], Image]:
    """(x, damping) -> argmin_v |y - A v|^2 + damping |v - x|^2 by conjugate-gradient steps from x.

    What does not depend on x is computed here: make the solver once, outside of a sampler's loop. Where A has a fast
    normal operator the steps are taken on (A^H A + damping I) v = A^H y + damping x; else see `data_step`.

    Args:
        measurement: y and A.
        steps: number of steps.

    Returns:
        The solver.
    """
    y, operator, _ = measurement
    if not operator.has_fast_normal:
        return lambda x, damping: x + data_step(operator, y - operator(x), damping, steps)
    back = operator.adjoint(y)

    def solve(x, damping):
        return conjugate_gradient(lambda v: operator.normal(v) + damping * v, back + damping * x, x, steps)

    return solve


def posterior_draw(key: PRNGKeyArray, measurement: Measurement, mean: Image, std: Scalar, steps: int) -> Image:
    """An exact draw from N(mean, std^2 I) given the measurement, by perturbing and solving (Orieux et al. 2012).

    Draws v ~ N(mean, std^2 I) and y' ~ N(y, noise_std^2 I), and minimises |y' - A x|^2 + (noise_std / std)^2 |x - v|^2.
    The minimiser has the posterior's mean and its covariance (A^H A / noise_std^2 + I / std^2)^-1, once converged.

    Args:
        key: PRNG key.
        measurement: what was measured.
        mean: image [H, W, C].
        std: standard deviation of the image about `mean`, in the unit of the image.
        steps: number of conjugate-gradient steps.

    Returns:
        The draw [H, W, C].
    """
    return perturbed_solution(measurement, mean, std, standard_noise(key, measurement, mean), steps)


def standard_noise(key: PRNGKeyArray, measurement: Measurement, image: Image) -> Noise:
    """Standard normal numbers of an image's shape, and noise of the measurement's kind and level."""
    image_key, data_key = jax.random.split(key)
    nothing = simulate(data_key, measurement.operator, jnp.zeros_like(image), measurement.noise_std)
    return jax.random.normal(image_key, image.shape), nothing.y


def perturbed_solution(measurement: Measurement, mean: Image, std: Scalar, noise: Noise, steps: int) -> Image:
    """argmin_x |y - n - A x|^2 / noise_std^2 + |x - mean - std z|^2 / std^2 for noise (z, n)."""
    perturbed = measurement._replace(y=measurement.y - noise[1])
    return data_solver(perturbed, steps)(mean + std * noise[0], (measurement.noise_std / std) ** 2)


def squared_norm(measurement: Measurement, steps: int = 20) -> Scalar:
    """The largest eigenvalue of A^H A by power iteration, 1 for masked orthonormal transforms.

    Methods whose step was published for operators of norm 1 divide by it, so that their settings mean the same for
    every modality and their steps stay stable.

    Args:
        measurement: its operator and the shape of its data.
        steps: number of iterations, one A and one A^H each.

    Returns:
        The eigenvalue, approached from below.
    """
    operator = measurement.operator
    zero = black(operator, measurement.y)

    def step(v, _):
        u = operator.normal(v)
        length = jnp.sqrt(inner(u, u))
        return u / length, length

    start = jax.random.normal(jax.random.key(0), zero.shape)
    return jax.lax.scan(step, start / jnp.linalg.norm(start.ravel()), length=steps)[1][-1]


def likelihood_score(
    sde: SDE,
    measurement: Measurement,
    gamma: Scalar,
    scale: Scalar,
    noise: Image | None = None,
    pseudo_inverse: bool = False,
) -> Guidance:
    """grad_x log N(A x; y_t, w^2 I) with width w^2 = scale (gamma sigma)^2 + (alpha noise_std)^2.

    y_t is alpha y (Jalal et al. 2021), or alpha y + sigma A z with the noise z of Song et al. 2021.

    Args:
        sde: the diffusion of the state.
        measurement: what was measured.
        gamma: relative width of the likelihood.
        scale: `squared_norm` of the operator, which turns sigma into the unit of the measurement.
        noise: z [H, W, C], or None for no noise.
        pseudo_inverse: put scale A^+ in the place of A^H, which is the same for flat spectra and moves all measured
            directions at one rate where the spectrum is not flat (Radon).

    Returns:
        The guidance (x, t) -> A^H (y_t - A x) / w^2.
    """
    y, operator, noise_std = measurement

    def pull_back(residual):
        return scale * operator.pseudo_inverse(residual) if pseudo_inverse else operator.adjoint(residual)

    def guidance(x, t):
        alpha, sigma = sde.marginal_prob(t)
        moved = -x if noise is None else sigma * noise - x
        width = scale * (gamma * sigma) ** 2 + (alpha * noise_std) ** 2
        return pull_back(alpha * y + operator(moved)) / width

    return guidance
