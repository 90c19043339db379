"""Posterior sampling by annealed Langevin dynamics (Jalal et al., NeurIPS 2021)."""

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, chain, tweedie
from scoreinv.samplers.conditioning import Start, guide, zero_start
from scoreinv.samplers.correctors import annealed_langevin
from scoreinv.samplers.data_terms import likelihood_score, squared_norm
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.typing import Scalar, Times


def langevin(
    prior: Prior,
    *,
    times: Times,
    snr: Scalar,
    gamma: Scalar,
    steps_per_level: int = 3,
    start: Start = zero_start,
) -> Reconstruct:
    """Annealed Langevin dynamics on score + A^H (alpha y - A x) / (noise_std^2 + gamma^2 sigma^2 |A|^2).

    Args:
        prior: the prior.
        times: N + 1 descending times.
        snr: signal-to-noise ratio of a Langevin step; stable for snr < gamma.
        gamma: width of the likelihood relative to the noise level.
        steps_per_level: Langevin steps at each of the first N levels.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        likelihood = likelihood_score(prior.sde, measurement, gamma, squared_norm(measurement))
        step = annealed_langevin(guide(prior, likelihood), snr)
        return Iteration(chain(*(step,) * steps_per_level), lambda x: tweedie(prior, x, times[-1]))

    return from_noise(prior.sde, times, start, method)
