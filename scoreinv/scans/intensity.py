"""Intensities to [0, 1] and back to the unit of the file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class IntensityScale:
    """The affine map of unit intensities to the file's: value = scale * unit + offset."""

    scale: float
    offset: float

    def restore(self, unit: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Intensities in the file's unit (Hounsfield units for CT)."""
        return np.asarray(self.scale * unit + self.offset, np.float32)


def _percentile(values, percentiles):
    # Foreground: above the mean, which in a head scan is mostly air. The lower bound looks at the whole volume.
    return np.percentile(values, percentiles[0]), np.percentile(values[values >= values.mean()], percentiles[1])


def _mean_std(values):
    mean, deviation = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    clipped = np.clip(values, mean - 6 * deviation, mean + 6 * deviation)
    return clipped.min(), clipped.max()


def to_unit_range(
    values: Float[np.ndarray, "..."],
    preset: str,
    low: float = -1024.0,
    high: float = 1024.0,
    percentiles: tuple[float, float] = (0.0, 99.5),
) -> tuple[Float[np.ndarray, "..."], IntensityScale]:
    """Scales intensities to [0, 1] by a named preset, clipping what falls outside.

    "ct_window": low -> 0, high -> 1. "percentile": percentiles[0] of all values -> 0, percentiles[1] of the foreground
    (values above the mean) -> 1. "mean_std": clip to mean +- 6 standard deviations, then minimum -> 0, maximum -> 1
    (BraTS in Song et al. 2022). "min_max": minimum -> 0, maximum -> 1 (LIDC in Song et al. 2022). "none": already in
    [0, 1].

    Args:
        values: intensities of a whole volume (so that all its slices share one scale).
        preset: "ct_window", "percentile", "mean_std", "min_max" or "none".
        low: lower end of the CT window, HU.
        high: upper end of the CT window, HU.
        percentiles: lower and upper percentile of "percentile".

    Returns:
        (values in [0, 1] as float32, the scale that maps them back).

    Raises:
        ValueError: unknown preset, empty window, constant image, or values outside [0, 1] with "none".
    """
    bounds: dict[str, Callable[[], tuple[float, float]]] = {
        "ct_window": lambda: (low, high),
        "percentile": lambda: _percentile(values, percentiles),
        "mean_std": lambda: _mean_std(values),
        "min_max": lambda: (values.min(), values.max()),
        "none": lambda: (0.0, 1.0),
    }
    if preset not in bounds:
        raise ValueError(f"unknown intensity preset {preset!r}; choose one of {', '.join(sorted(bounds))}")
    bottom, top = (float(bound) for bound in bounds[preset]())
    if preset == "none" and not 0 <= values.min() <= values.max() <= 1:
        raise ValueError(
            f"intensities run from {values.min():g} to {values.max():g}, but preset 'none' takes [0, 1]; choose one of "
            f"{', '.join(sorted(set(bounds) - {'none'}))}"
        )
    if not top > bottom:
        raise ValueError(f"preset {preset!r} maps [{bottom:g}, {top:g}] to [0, 1]; allowed: low < high, not constant")
    unit = np.clip((values - np.float32(bottom)) / np.float32(top - bottom), 0, 1)
    return unit.astype(np.float32), IntensityScale(top - bottom, bottom)
