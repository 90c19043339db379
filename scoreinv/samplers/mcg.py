"""Manifold constrained gradient (Chung, Sim, Ryu, Ye, NeurIPS 2022): the DPS gradient, then a projection."""

from scoreinv.prior import Prior
from scoreinv.samplers.base import Reconstruct, at_next, chain, tweedie
from scoreinv.samplers.conditioning import Start, project, proximal, zero_start
from scoreinv.samplers.dps import dps_step
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.typing import Scalar, Times


def mcg(
    prior: Prior,
    *,
    times: Times,
    zeta: Scalar = 1.0,
    eta: Scalar = 1.0,
    start: Start = zero_start,
) -> Reconstruct:
    """MCG: a DPS step, then the projection onto the diffused measurement at the level arrived at.

    Each step costs one network call and one pass backwards through the network (a prior loaded with
    remat=True saves memory). The projection imposes the data, so the method is for exact data; `noise_std` is not used.

    Args:
        prior: the prior.
        times: N + 1 descending times.
        zeta: step length in the variance-preserving scale, for operators of norm 1.
        eta: noise of the DDIM step; 1 is the published ancestral one.
        start: image that is noised to times[0].

    Returns:
        The sampler, (key, measurement) -> image [H, W, C].
    """

    def method(measurement):
        projection = at_next(proximal(prior.sde, measurement, 1.0))
        step = chain(dps_step(prior, measurement, zeta, eta), projection)
        return Iteration(step, lambda x: project(measurement, tweedie(prior, x, times[-1])))

    return from_noise(prior.sde, times, start, method)
