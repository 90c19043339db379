"""Predictor-corrector sampling with a noisy likelihood's score (Song et al., ICLR 2021, section 5 and appendix I)."""

import jax

from scoreinv.prior import Prior
from scoreinv.samplers.base import Kernel, Reconstruct, keyed, tweedie
from scoreinv.samplers.conditioning import Start, guide, zero_start
from scoreinv.samplers.correctors import langevin
from scoreinv.samplers.data_terms import black, likelihood_score, squared_norm
from scoreinv.samplers.frame import from_noise
from scoreinv.samplers.predictors import Predictor, reverse_diffusion
from scoreinv.samplers.solvers import with_predictor
from scoreinv.typing import Scalar, Times


def score_sde(
    prior: Prior,
    *,
    times: Times,
    snr: Scalar,
    gamma: Scalar,
    corrector_steps: int = 1,
    pseudo_inverse: bool = False,
    predictor: Predictor = reverse_diffusion,
    start: Start = zero_start,
) -> Reconstruct:
    """Predictor and Langevin corrector on score + grad_x log N(A x; y_t, (gamma sigma |A|)^2 + noise_std^2), y_t noisy.

    A step that moves x by v times this score is a proximal step of strength v / ((gamma sigma)^2 + noise_std^2): with
    gamma = 1 and `pseudo_inverse` the method is the proximal one whose lam follows the noise.

    Args:
        prior: the prior.
        times: N + 1 descending times.
        snr: signal-to-noise ratio of the Langevin corrector.
        gamma: width of the likelihood relative to the noise level.
        corrector_steps: Langevin steps per predictor step.
        pseudo_inverse: A^+ in the place of A^H, for operators whose spectrum is not flat (Radon).
        predictor: unconditional predictor.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        shape = black(measurement.operator, measurement.y).shape
        scale = squared_norm(measurement)

        def guided(make_kernel: Predictor) -> Kernel:
            def kernel(key):
                z = jax.random.normal(key, shape)
                likelihood = likelihood_score(prior.sde, measurement, gamma, scale, z, pseudo_inverse)
                return make_kernel(guide(prior, likelihood))

            return keyed(kernel)

        corrector = (guided(lambda p: langevin(p, snr)),) * corrector_steps
        return with_predictor(predictor, corrector, guided(predictor), lambda x: tweedie(prior, x, times[-1]))

    return from_noise(prior.sde, times, start, method)
