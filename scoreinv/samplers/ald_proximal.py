"""Annealed Langevin dynamics with a proximal step (Song, Shen, Xing, Ermon, ICLR 2022, section 4: "ALD + Ours")."""

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, chain, tweedie
from scoreinv.samplers.conditioning import (
    Start,
    following,
    guide,
    image_noise,
    noisier_data_score,
    project,
    proximal,
    zero_start,
)
from scoreinv.samplers.correctors import annealed_langevin
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.typing import Scalar, Times


def ald_proximal(
    prior: Prior,
    *,
    times: Times,
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

    def method(measurement):
        noise_std = image_noise(measurement) if follow_noise else 0.0
        target = guide(prior, noisier_data_score(prior.sde, measurement, noise_std)) if follow_noise else prior
        step = (proximal(prior.sde, measurement, lam, noise_std), annealed_langevin(target, snr))
        last = following(prior.sde, times[-1], lam, noise_std)

        def finish(x):
            return project(measurement, tweedie(prior, x, times[-1]), last)

        return Iteration(chain(*step * steps_per_level), finish)

    return from_noise(prior.sde, times, start, method)
