"""Configuration to the views of a CT scan: parallel rays, or a fan onto a flat or a curved detector."""

from collections.abc import Callable
from functools import lru_cache, partial

import jax.numpy as jnp
import numpy as np
from absl import logging

from scoreinv.build.memory import check_memory
from scoreinv.build.names import choose
from scoreinv.operators.base import LinearOperator
from scoreinv.operators.ct import radon_transform, sparse_view_mask
from scoreinv.operators.fan import fan_transform
from scoreinv.operators.geometry import RayTransform

# `operator.beam` -> degrees over which views do not repeat one another.
BEAMS = {"parallel": 180, "fan": 360, "curved_fan": 360}
MOST_COLUMNS = 2**14


def ct_operators(config, shape: tuple[int, int, int], key, shared: bool) -> list[tuple[str, LinearOperator]]:
    """The operators of a `config.operator` section, one for each number of views.

    Args:
        config: the section.
        shape: (H, W, C) of the image.
        key: not used.
        shared: whether all numbers of views are masked from one full sinogram.

    Raises:
        ValueError: views, angles or distances that cannot be.
    """
    turn = choose(BEAMS, config.beam, "operator.beam")
    degrees = choose({"sparse_view": turn, "limited_angle": config.degrees}, config.mask, "operator.mask for ct")
    if not 0 < degrees <= turn:
        raise ValueError(f"operator.degrees={degrees}; give a range above 0 and up to {turn} for a {config.beam} beam")
    if min(config.views) < 1:
        raise ValueError(f"operator.views={min(config.views)}; give at least 1 view")
    full = config.full_views or (turn // 180 * max(shape) if shared else 0)
    rays = full or max(config.views), config.detectors or sum(shape[:2])
    check_memory(rays, "lower operator.views, full_views or detectors", 64)
    suffix = "views" if degrees == turn else f"views-{degrees:g}-degrees"
    suffix += "" if config.beam == "parallel" else f"-{config.beam.replace('_', '-')}"
    make = _rays(config, shape[:2])
    operators = []
    for views in config.views:
        angles, mask = _masked(full, views, degrees, turn) if full else _alone(views, degrees)
        operators.append((f"{views}-{suffix}", LinearOperator(mask, make(tuple(angles)))))
    return operators


def _alone(views: int, degrees: float) -> tuple[np.ndarray, jnp.ndarray]:
    """Measured views only, which is cheaper than masking a full sinogram: (angles in radians, mask)."""
    return np.deg2rad(degrees) * np.arange(views) / views, jnp.ones((views, 1))


def _masked(full: int, views: int, degrees: float, turn: int) -> tuple[np.ndarray, jnp.ndarray]:
    """A mask on a full sinogram, which other numbers of views share: (angles in radians, mask)."""
    inside = round(full * degrees / turn)
    mask = jnp.pad(sparse_view_mask(inside, views), ((0, full - inside), (0, 0)))
    return np.deg2rad(turn) * np.arange(full) / full, mask


def _rays(config, shape: tuple[int, int]) -> Callable[[tuple[float, ...]], RayTransform]:
    """Angles to the transform of the scanner; said where its detector is smaller than the image."""
    if config.beam == "parallel":
        seen = config.detectors or max(shape)
        make = partial(_parallel_rays, shape=shape, detectors=config.detectors)
    else:
        gamma, distance, seen = _fan(config, shape)
        make = partial(_fan_rays, shape=shape, gamma=tuple(gamma), distance=distance)
    if seen < max(shape):
        logging.warning(
            "operator.detectors=%d see a circle %.4g pixels wide in every view, the image is %d x %d: the rest is seen "
            "in some views only",
            config.detectors,
            seen,
            *shape,
        )
    return make


def _fan(config, shape: tuple[int, int]) -> tuple[np.ndarray, float, float]:
    """(fan angle of each column, distance from the source to the axis, width of what every view sees, pixels).

    Columns are as wide as a pixel where their rays pass the axis, wherever the detector stands.
    """
    pixel, corner = config.field_of_view / max(shape), float(np.hypot(*shape)) / 2
    distance = config.source_to_axis / pixel
    if not corner < distance:
        raise ValueError(
            f"operator.source_to_axis={config.source_to_axis:g} mm, but the corners of the image are "
            f"{corner * pixel:.4g} mm from the axis: put the source outside of it"
        )
    reach = np.arcsin(corner / distance)
    curved = config.beam == "curved_fan"
    columns = config.detectors or int(np.ceil(2 * distance * (reach if curved else np.tan(reach))))
    if columns > MOST_COLUMNS:
        raise ValueError(
            f"operator.source_to_axis={config.source_to_axis:g} mm needs {columns} columns to see the whole image; put "
            "the source farther away, or give operator.detectors"
        )
    edges = (np.arange(columns + 1) - columns / 2) / distance
    along = (edges[:-1] + edges[1:]) / 2
    gamma, edge = (along, edges[-1]) if curved else (np.arctan(along), np.arctan(edges[-1]))
    return gamma, distance, 2 * distance * float(np.sin(edge))


@lru_cache(maxsize=4)
def _parallel_rays(angles: tuple[float, ...], shape: tuple[int, int], detectors: int) -> RayTransform:
    return radon_transform(np.array(angles), shape, detectors)


@lru_cache(maxsize=4)
def _fan_rays(angles: tuple[float, ...], shape: tuple[int, int], gamma: tuple[float, ...], distance) -> RayTransform:
    return fan_transform(np.array(angles), shape, np.array(gamma), distance)
