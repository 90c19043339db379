"""Regularization by denoising diffusion (Mardani, Song, Kautz, Vahdat, ICLR 2024): a variational mode, no sampling."""

import optax

from scoreinv.operators.base import misfit_gradient
from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, tweedie
from scoreinv.samplers.conditioning import Start, diffuse, pseudo_inverse_start
from scoreinv.samplers.data_terms import squared_norm
from scoreinv.samplers.frame import Iteration, from_image
from scoreinv.typing import Scalar, Times


def red_diff(
    prior: Prior,
    *,
    times: Times,
    lam: Scalar = 0.25,
    learning_rate: Scalar = 0.1,
    start: Start = pseudo_inverse_start,
) -> Reconstruct:
    """RED-diff: Adam on |y - A m|^2 / (2 |A|^2) + lam (sigma / alpha) <e_network(m_t) - e, m> along the noise levels.

    Since e_network - e = alpha (m - x_0(m_t)) / sigma, the second gradient is lam (m - x_0(m_t)). The result is one
    estimate: its spread over keys is not a posterior's. `noise_std` is not used; lam plays its part.

    Args:
        prior: the prior.
        times: N + 1 descending times; N iterations.
        lam: weight of the prior (published with 0.25).
        learning_rate: step of Adam, in the unit of the image.
        start: initial image.

    Returns:
        The estimator, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        gradient_of = misfit_gradient(measurement)
        scale = squared_norm(measurement)
        adam = optax.adam(learning_rate)

        def kernel(key, state, t, t_next):
            m, moments = state
            denoised = tweedie(prior, diffuse(key, prior.sde, m, t), t)
            gradient = gradient_of(m) / scale + lam * (m - denoised)
            update, moments = adam.update(gradient, moments)
            return optax.apply_updates(m, update), moments

        return Iteration(kernel, lambda state: state[0], lambda m: (m, adam.init(m)))

    return from_image(times, start, method, at_last=False)
