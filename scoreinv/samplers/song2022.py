"""Predictor-corrector sampling with a proximal step (Song, Shen, Xing, Ermon, ICLR 2022, algorithm 1)."""

import jax
from jaxtyping import Array, Float

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, chain, integrate, tweedie
from scoreinv.samplers.conditioning import Start, diffuse, project, proximal, zero_start
from scoreinv.samplers.correctors import langevin
from scoreinv.samplers.predictors import Predictor, reverse_diffusion

Scalar = Float[Array, ""] | float


def song2022(
    prior: Prior,
    *,
    times: Float[Array, " levels"],
    snr: Scalar,
    lam: Scalar,
    corrector_steps: int = 1,
    predictor: Predictor = reverse_diffusion,
    start: Start = zero_start,
) -> Reconstruct:
    """The paper's sampler: a proximal step before each corrector and each predictor step.

    Args:
        prior: the prior.
        times: N + 1 descending times; the paper takes 1000 linear ones of a VE diffusion.
        snr: signal-to-noise ratio of the Langevin corrector.
        lam: strength of the proximal step in [0, 1].
        corrector_steps: Langevin steps per predictor step; 0 is "predictor only".
        predictor: unconditional predictor.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def reconstruct(key, measurement):
        start_key, key = jax.random.split(key)
        towards_data = proximal(prior.sde, measurement, lam)
        corrector = (towards_data, langevin(prior, snr)) * corrector_steps
        x = diffuse(start_key, prior.sde, start(measurement), times[0])
        x = integrate(chain(*corrector, towards_data, predictor(prior)), key, x, times)
        return project(measurement, tweedie(prior, x, times[-1]), lam)

    return reconstruct


def network_calls(steps: int, corrector_steps: int = 1) -> int:
    """Network calls per image for `steps` = N."""
    return steps * (1 + corrector_steps) + 1
