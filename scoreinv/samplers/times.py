"""Time grids: where along a diffusion a sampler stops, independent of the SDE and of the method.

Every grid runs from noise-to-signal ratio sigma/alpha = `sigma_max` down to `sigma_min` and is returned as times t of
the SDE, so that one grid means the same noise levels for VE, VP, sub-VP and EDM priors. The ratios are data: another
range compiles nothing. The number of steps is a shape.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.sde import SDE

Times = Float[Array, " levels"]
Scalar = Float[Array, ""] | float


def _ramp(steps: int, first: Scalar, last: Scalar) -> Times:
    if steps < 1:
        raise ValueError(f"a time grid needs at least 1 step, got steps={steps}")
    return jnp.linspace(first, last, steps + 1)


def _times_at(sde: SDE, ratios: Times) -> Times:
    return jnp.asarray(jax.vmap(sde.time_at)(ratios))


def linear_times(sde: SDE, steps: int, sigma_min: Scalar, sigma_max: Scalar) -> Times:
    """Times equally spaced in t (Song et al. 2021); for VE this is the geometric grid.

    Args:
        sde: the diffusion.
        steps: number of steps N.
        sigma_min: last noise-to-signal ratio sigma/alpha, in the unit of the image.
        sigma_max: first noise-to-signal ratio.

    Returns:
        N + 1 descending times.

    Raises:
        ValueError: if steps < 1.
    """
    ends = _times_at(sde, jnp.stack([jnp.float32(sigma_max), jnp.float32(sigma_min)]))
    return _ramp(steps, ends[0], ends[1])


def geometric_times(sde: SDE, steps: int, sigma_min: Scalar, sigma_max: Scalar) -> Times:
    """Times at a constant ratio between successive sigma/alpha (Song and Ermon 2019).

    Args, Returns, Raises: as `linear_times`.
    """
    return _times_at(sde, jnp.exp(_ramp(steps, jnp.log(sigma_max), jnp.log(sigma_min))))


def karras_times(sde: SDE, steps: int, sigma_min: Scalar, sigma_max: Scalar, rho: Scalar = 7.0) -> Times:
    """Times equally spaced in (sigma/alpha)^(1/rho) (Karras et al. 2022, eq. 5).

    Args:
        sde: the diffusion.
        steps: number of steps N.
        sigma_min: last noise-to-signal ratio sigma/alpha, in the unit of the image.
        sigma_max: first noise-to-signal ratio.
        rho: how strongly steps crowd at low noise; 1 is linear in sigma/alpha, infinity geometric.

    Returns:
        N + 1 descending times.

    Raises:
        ValueError: if steps < 1.
    """
    root = 1.0 / rho
    return _times_at(sde, _ramp(steps, jnp.float32(sigma_max) ** root, jnp.float32(sigma_min) ** root) ** rho)


TimeGrid = Callable[[SDE, int, Scalar, Scalar], Times]
