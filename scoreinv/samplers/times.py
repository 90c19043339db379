"""Time grids: where along a diffusion a sampler stops, independent of the SDE and of the method.

Every grid runs from noise-to-signal ratio sigma/alpha = `sigma_max` down to `sigma_min` and is returned as times t of
the SDE, so that one grid means the same noise levels for VE, VP, sub-VP and EDM priors. The ratios are data: another
range compiles nothing. So is the number of steps where it is an array: such a grid has `PADDED_LEVELS` times, of which
those after the last step repeat it, and `integrate` stops there. Where it is an int, the grid has that many steps.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from scoreinv.samplers.base import PADDED_LEVELS
from scoreinv.sde import SDE
from scoreinv.typing import Scalar, Times

Steps = Int[Array, ""] | int
LONGEST = PADDED_LEVELS - 1  # steps that a grid can have whose number of steps is an array


def _ramp(steps: Steps, first: Scalar, last: Scalar) -> Times:
    if not isinstance(steps, int):
        fraction = jnp.minimum(jnp.arange(PADDED_LEVELS) / steps, 1.0)
        return first * (1 - fraction) + last * fraction
    if steps < 1:
        raise ValueError(f"a time grid needs at least 1 step, got steps={steps}")
    return jnp.linspace(first, last, steps + 1)


def _ended(steps: Steps, times: Times) -> Times:
    """The times with those after the last step equal to it to the bit, which a vectorised function leaves open."""
    return times if isinstance(steps, int) else jnp.where(jnp.arange(PADDED_LEVELS) < steps, times, times[-1])


def _times_at(sde: SDE, ratios: Times) -> Times:
    return jnp.asarray(jax.vmap(sde.time_at)(ratios))


def linear_times(sde: SDE, steps: Steps, sigma_min: Scalar, sigma_max: Scalar) -> Times:
    """Times equally spaced in t (Song et al. 2021); for VE this is the geometric grid.

    Args:
        sde: the diffusion.
        steps: number of steps N; as an array at most `LONGEST`.
        sigma_min: last noise-to-signal ratio sigma/alpha, in the unit of the image.
        sigma_max: first noise-to-signal ratio.

    Returns:
        N + 1 descending times, padded where `steps` is an array.

    Raises:
        ValueError: if steps < 1.
    """
    ends = _times_at(sde, jnp.stack([jnp.float32(sigma_max), jnp.float32(sigma_min)]))
    return _ended(steps, _ramp(steps, ends[0], ends[1]))


def geometric_times(sde: SDE, steps: Steps, sigma_min: Scalar, sigma_max: Scalar) -> Times:
    """Times at a constant ratio between successive sigma/alpha (Song and Ermon 2019).

    Args, Returns, Raises: as `linear_times`.

    >>> times = scoreinv.geometric_times(prior.sde, 3, sigma_min=0.1, sigma_max=1.0)
    >>> [round(float(prior.sde.marginal_prob(t)[1]), 3) for t in times]
    [1.0, 0.464, 0.215, 0.1]
    """
    return _ended(steps, _times_at(sde, jnp.exp(_ramp(steps, jnp.log(sigma_max), jnp.log(sigma_min)))))


def karras_times(sde: SDE, steps: Steps, sigma_min: Scalar, sigma_max: Scalar, rho: Scalar = 7.0) -> Times:
    """Times equally spaced in (sigma/alpha)^(1/rho) (Karras et al. 2022, eq. 5).

    Args:
        sde: the diffusion.
        steps: number of steps N; as an array at most `LONGEST`.
        sigma_min: last noise-to-signal ratio sigma/alpha, in the unit of the image.
        sigma_max: first noise-to-signal ratio.
        rho: how strongly steps crowd at low noise; 1 is linear in sigma/alpha, infinity geometric.

    Returns:
        N + 1 descending times, padded where `steps` is an array.

    Raises:
        ValueError: if steps < 1.
    """
    root = 1.0 / rho
    ramp = _ramp(steps, jnp.float32(sigma_max) ** root, jnp.float32(sigma_min) ** root)
    return _ended(steps, _times_at(sde, ramp**rho))
