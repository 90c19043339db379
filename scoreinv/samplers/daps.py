"""Decoupled annealing posterior sampling (Zhang et al., CVPR 2025)."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, integrate, tweedie
from scoreinv.samplers.conditioning import Start, diffuse, zero_start
from scoreinv.samplers.data_terms import squared_norm
from scoreinv.samplers.frame import Iteration, from_image
from scoreinv.samplers.predictors import ddim
from scoreinv.samplers.solvers import noise_to_signal
from scoreinv.samplers.times import karras_times
from scoreinv.typing import Image, Scalar, Time, Times


def daps(
    prior: Prior,
    *,
    times: Times,
    ode_steps: int = 5,
    langevin_steps: int = 100,
    langevin_rate: Scalar = 0.1,
    noise_floor: Scalar = 0.01,
    start: Start = zero_start,
) -> Reconstruct:
    """DAPS: at each level an image x_0 by the probability flow, Langevin on x_0 given y, and noise for the next level.

    Langevin dynamics samples N(x_0; flow(x_t), r^2 I) N(y; A x_0, noise_std^2 I) with r = sigma/alpha (Zhang et al.
    2025, algorithm 1). Its step is `langevin_rate` over the largest curvature, which keeps it stable for any operator.

    Where Langevin mixes, an unmeasured Gaussian comes out with twice its variance: the flow's end is a draw of x_0
    already, to which the method adds r^2. With v = tau^2 / (tau^2 + r^2) the variance V of x_0 obeys
    V = v (V + r^2) + r^2, so V -> 2 tau^2 + r^2. ode_steps = 1 takes the mean E[x_0 | x_t] instead, and V -> tau^2.

    Args:
        prior: the prior.
        times: N + 1 descending times; each is visited.
        ode_steps: network calls of the probability flow at each level; 1 is the denoised image.
        langevin_steps: Langevin steps at each level; they call no network.
        langevin_rate: step relative to the largest stable one's half, in (0, 1].
        noise_floor: smallest noise_std used, for operators of norm 1, in the unit of the image.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        scale = squared_norm(measurement)
        noise_std = jnp.maximum(measurement.noise_std, noise_floor * jnp.sqrt(scale))
        measurement = measurement._replace(noise_std=noise_std)

        def clean(key, x, t):
            center = flow(prior, x, t, times[-1], ode_steps)
            std = noise_to_signal(prior.sde, t)
            return langevin_draw(key, measurement, center, std, scale, langevin_rate, langevin_steps)

        def kernel(key, x, t, t_next):
            noise_key, clean_key = jax.random.split(key)
            return clean(clean_key, diffuse(noise_key, prior.sde, x, t), t)

        return Iteration(kernel, lambda x: x)

    return from_image(times, start, method)


def flow(prior: Prior, x: Image, t: Time, t_last: Time, steps: int) -> Image:
    """The image x_0 at the end of the probability flow from (x, t), in `steps` network calls (Euler in sigma/alpha)."""
    if steps == 1:
        return tweedie(prior, x, t)
    first, last = (noise_to_signal(prior.sde, s) for s in (t, t_last))
    levels = karras_times(prior.sde, steps - 1, last, first)
    x = integrate(ddim(prior, 0.0), jax.random.key(0), x, levels)
    return tweedie(prior, x, levels[-1])


def langevin_draw(
    key: PRNGKeyArray, measurement: Measurement, center: Image, std: Scalar, scale: Scalar, rate: Scalar, steps: int
) -> Image:
    """Langevin dynamics from `center` on N(x; center, std^2 I) N(y; A x, noise_std^2 I)."""
    y, operator, noise_std = measurement
    step = rate / (scale / noise_std**2 + 1 / std**2)

    def move(x, i):
        gradient = operator.adjoint(y - operator(x)) / noise_std**2 + (center - x) / std**2
        z = jax.random.normal(jax.random.fold_in(key, i), x.shape)
        return x + step * gradient + jnp.sqrt(2 * step) * z, None

    return jax.lax.scan(move, center, jnp.arange(steps))[0]
