"""Annealed Langevin dynamics with a proximal step (Song, Shen, Xing, Ermon, ICLR 2022, section 4: "ALD + Ours")."""

import jax
from jaxtyping import Array, Float

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, chain, integrate, tweedie
from scoreinv.samplers.conditioning import Start, diffuse, project, proximal, zero_start
from scoreinv.samplers.correctors import annealed_langevin

Scalar = Float[Array, ""] | float


def ald_proximal(
    prior: Prior,
    *,
    times: Float[Array, " levels"],
    snr: Scalar,
    lam: Scalar,
    steps_per_level: int = 3,
    start: Start = zero_start,
) -> Reconstruct:
    """A proximal step before each annealed Langevin step, several of them per noise level.

    Args:
        prior: the prior.
        times: N + 1 descending times.
        snr: signal-to-noise ratio of a Langevin step.
        lam: strength of the proximal step in [0, 1].
        steps_per_level: Langevin steps at each of the first N levels.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def reconstruct(key, measurement):
        start_key, key = jax.random.split(key)
        x = diffuse(start_key, prior.sde, start(measurement), times[0])
        step = (proximal(prior.sde, measurement, lam), annealed_langevin(prior, snr))
        x = integrate(chain(*step * steps_per_level), key, x, times)
        return project(measurement, tweedie(prior, x, times[-1]), lam)

    return reconstruct


def network_calls(steps: int, steps_per_level: int = 3) -> int:
    """Network calls per image for `steps` = N levels."""
    return steps * steps_per_level + 1
