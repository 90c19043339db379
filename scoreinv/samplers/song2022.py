"""Predictor-corrector sampling with a proximal step (Song, Shen, Xing, Ermon, ICLR 2022, algorithm 1)."""

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
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
from scoreinv.samplers.correctors import langevin
from scoreinv.samplers.frame import from_noise
from scoreinv.samplers.predictors import Predictor, reverse_diffusion
from scoreinv.samplers.solvers import with_predictor
from scoreinv.typing import Scalar, Times


def song2022(
    prior: Prior,
    *,
    times: Times,
    snr: Scalar,
    lam: Scalar,
    corrector_steps: int = 1,
    follow_noise: bool = False,
    predictor: Predictor = reverse_diffusion,
    start: Start = zero_start,
) -> Reconstruct:
    """The paper's sampler: a proximal step before each corrector and each predictor step.

    Published for noisy data with lam below 1. With `follow_noise` lam is derived from noise_std instead (`proximal`),
    the corrector keeps to the data below their noise level (`noisier_data_score`), and the method samples the posterior
    of noisy data too, for operators of one gain.

    Args:
        prior: the prior.
        times: N + 1 descending times; the paper takes 1000 linear ones of a VE diffusion.
        snr: signal-to-noise ratio of the Langevin corrector.
        lam: strength of the proximal step in [0, 1].
        corrector_steps: Langevin steps per predictor step; 0 is "predictor only".
        follow_noise: take the measurement's noise into account; for exact data both are the same.
        predictor: unconditional predictor; one that draws no noise is no sampler of the posterior by itself.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].

    >>> jax.jit(scoreinv.song2022(prior, times=times, snr=0.2, lam=0.8))(key, measurement).shape
    (8, 8, 1)
    """

    def method(measurement):
        noise_std = image_noise(measurement) if follow_noise else 0.0
        towards_data = proximal(prior.sde, measurement, lam, noise_std)
        target = guide(prior, noisier_data_score(prior.sde, measurement, noise_std)) if follow_noise else prior
        corrector = (towards_data, langevin(target, snr)) * corrector_steps
        last = following(prior.sde, times[-1], lam, noise_std)

        def finish(x):
            return project(measurement, tweedie(prior, x, times[-1]), last)

        return with_predictor(predictor, (*corrector, towards_data), predictor(prior), finish)

    return from_noise(prior.sde, times, start, method)
