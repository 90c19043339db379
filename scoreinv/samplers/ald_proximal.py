"""Annealed Langevin dynamics with a proximal step (Song, Shen, Xing, Ermon, ICLR 2022, section 4: "ALD + Ours")."""

import jax
from jaxtyping import Array, Float

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, chain, integrate, tweedie
from scoreinv.samplers.conditioning import (
    Start,
    diffuse,
    following,
    guide,
    image_noise,
    noisier_data_score,
    project,
    proximal,
    zero_start,
)
from scoreinv.samplers.correctors import annealed_langevin

Scalar = Float[Array, ""] | float


def ald_proximal(
    prior: Prior,
    *,
    times: Float[Array, " levels"],
    snr: Scalar,
    lam: Scalar,
    steps_per_level: int = 3,
    follow_noise: bool = False,
    start: Start = zero_start,
) -> Reconstruct:
    """A proximal step before each annealed Langevin step, several of them per noise level.

    Args:
        prior: the prior.
        times: N + 1 descending times.
        snr: signal-to-noise ratio of a Langevin step.
        lam: strength of the proximal step in [0, 1].
        steps_per_level: Langevin steps at each of the first N levels.
        follow_noise: derive lam from noise_std, as in `song2022`.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def reconstruct(key, measurement):
        start_key, key = jax.random.split(key)
        noise_std = image_noise(measurement) if follow_noise else 0.0
        target = guide(prior, noisier_data_score(prior.sde, measurement, noise_std)) if follow_noise else prior
        step = (proximal(prior.sde, measurement, lam, noise_std), annealed_langevin(target, snr))
        x = diffuse(start_key, prior.sde, start(measurement), times[0])
        x = integrate(chain(*step * steps_per_level), key, x, times)
        last = following(prior.sde, times[-1], lam, noise_std)
        return project(measurement, tweedie(prior, x, times[-1]), last)

    return reconstruct


def network_calls(steps: int, steps_per_level: int = 3) -> int:
    """Network calls per image for `steps` = N levels."""
    return steps * steps_per_level + 1
