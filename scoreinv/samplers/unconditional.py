"""Samples of the prior itself: predictor-corrector sampling without a measurement (Song et al., ICLR 2021)."""

import jax
from jaxtyping import Array, Float

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, diffuse, zero_start
from scoreinv.samplers.correctors import langevin
from scoreinv.samplers.predictors import Predictor, reverse_diffusion
from scoreinv.samplers.solvers import integrate_predictor

Scalar = Float[Array, ""] | float


def unconditional(
    prior: Prior,
    *,
    times: Float[Array, " levels"],
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

    def reconstruct(key, measurement):
        start_key, key = jax.random.split(key)
        x = diffuse(start_key, prior.sde, start(measurement), times[0])
        corrector = (langevin(prior, snr),) * corrector_steps
        x = integrate_predictor(predictor, corrector, predictor(prior), key, x, times)
        return tweedie(prior, x, times[-1])

    return reconstruct


def network_calls(steps: int, corrector_steps: int = 0) -> int:
    """Network calls per image for `steps` = N with a predictor of one call a step."""
    return steps * (1 + corrector_steps) + 1
