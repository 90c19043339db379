"""Samples of the prior itself: predictor-corrector sampling without a measurement (Song et al., ICLR 2021)."""

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, zero_start
from scoreinv.samplers.correctors import langevin
from scoreinv.samplers.frame import from_noise
from scoreinv.samplers.predictors import Predictor, reverse_diffusion
from scoreinv.samplers.solvers import with_predictor
from scoreinv.typing import Scalar, Times


def unconditional(
    prior: Prior,
    *,
    times: Times,
    snr: Scalar = 0.16,
    corrector_steps: int = 0,
    predictor: Predictor = reverse_diffusion,
    start: Start = zero_start,
) -> Reconstruct:
    """Draws from the prior, in the shape that a measurement has (Song et al. 2021, algorithms 2 and 3).

    Args:
        prior: the prior.
        times: N + 1 descending times.
        snr: signal-to-noise ratio of the Langevin corrector.
        corrector_steps: Langevin steps per predictor step.
        predictor: the predictor.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C]; of the measurement only `start` sees more than the shape.
    """

    def method(measurement):
        corrector = (langevin(prior, snr),) * corrector_steps
        return with_predictor(predictor, corrector, predictor(prior), lambda x: tweedie(prior, x, times[-1]))

    return from_noise(prior.sde, times, start, method)
