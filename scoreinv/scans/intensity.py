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

    def to_unit(self, values: Float[np.ndarray, "..."], clip: bool = True) -> Float[np.ndarray, "..."]:
        """Intensities of the file in [0, 1], clipped unless what lies outside is wanted too."""
        unit = (values - np.float32(self.offset)) / np.float32(self.scale)
        return (np.clip(unit, 0, 1) if clip else unit).astype(np.float32, copy=False)


_SAMPLE = 2**25  # values that percentiles are taken of; of larger volumes evenly spaced ones
_SPAN = 0.15  # of the window; what covers less is in another unit
_AIR = -200.0  # HU; a slice of a patient without any air is rare
_BONE = 500.0  # HU; most of what is no background lies below


def _percentile(values, percentiles):
    # Foreground: above the mean, which in a head scan is mostly air. The lower bound looks at the whole volume.
    some = values.reshape(-1)[:: -(-values.size // _SAMPLE)]
    foreground = some[some >= min(some.mean(), some.max())]
    return np.percentile(some, percentiles[0]), np.percentile(foreground, percentiles[1])


def _mean_std(values):
    mean, deviation = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return max(values.min(), mean - 6 * deviation), min(values.max(), mean + 6 * deviation)


def intensity_scale(
    values: Float[np.ndarray, "..."],
    preset: str,
    low: float = -1024.0,
    high: float = 1024.0,
    percentiles: tuple[float, float] = (0.0, 99.5),
) -> IntensityScale:
    """The scale of a named preset that brings the intensities of a volume to [0, 1].

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

    Raises:
        ValueError: unknown preset, empty window, constant image, values outside [0, 1] with "none", or values that are
            no Hounsfield units with "ct_window".
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
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise ValueError(f"percentiles={tuple(percentiles)}; give 0 <= lower < upper <= 100")
    if not (np.isfinite((low, high)).all() and low < high):
        raise ValueError(f"window [{low:g}, {high:g}] is to become [0, 1]; allowed: finite numbers, low < high")
    bottom, top = (float(bound) for bound in bounds[preset]())
    if preset == "none" and not 0 <= values.min() <= values.max() <= 1:
        raise ValueError(
            f"intensities run from {values.min():g} to {values.max():g}, but preset 'none' takes [0, 1]; choose one of "
            f"{', '.join(sorted(set(bounds) - {'none'}))}"
        )
    if not top > bottom:
        raise ValueError(f"preset {preset!r} maps [{bottom:g}, {top:g}] to [0, 1]; allowed: low < high, not constant")
    if preset == "ct_window":
        _check_hounsfield(values, low, high)
    return IntensityScale(top - bottom, bottom)


def to_unit_range(
    values: Float[np.ndarray, "..."],
    preset: str,
    low: float = -1024.0,
    high: float = 1024.0,
    percentiles: tuple[float, float] = (0.0, 99.5),
) -> tuple[Float[np.ndarray, "..."], IntensityScale]:
    """Scales intensities to [0, 1] by a named preset, clipping what falls outside; see `intensity_scale`.

    Returns:
        (values in [0, 1] as float32, the scale that maps them back).
    """
    scale = intensity_scale(values, preset, low, high, percentiles)
    return scale.to_unit(values), scale


def _check_hounsfield(values: Float[np.ndarray, "..."], low: float, high: float) -> None:
    """Refuses values that a window in HU would show as next to nothing, or as white throughout."""
    bottom, top = float(values.min()), float(values.max())
    span = (min(top, high) - max(bottom, low)) / (high - low)
    advice = "set data.intensity (none, min_max) or data.window"
    if span < _SPAN:
        raise ValueError(
            f"values from {bottom:g} to {top:g} cover {100 * max(span, 0):.2g} % of the window [{low:g}, {high:g}] in "
            f"Hounsfield units, which is hardly their unit; {advice}"
        )
    if bottom > _AIR and np.sum(values > _BONE) > 0.6 * np.sum(values > bottom - _AIR):
        raise ValueError(
            f"values from {bottom:g} to {top:g} without air and most of the object denser than bone: is 1024 added, or "
            f"the rescale missing? Subtract it, or {advice}"
        )


def doubts(values: Float[np.ndarray, "..."], preset: str, low: float, high: float) -> tuple[str, ...]:
    """What is to be said about a volume that `intensity_scale` takes with these arguments."""
    bottom, top = float(values.min()), float(values.max())
    if preset == "ct_window":
        said = f"no air in it, the lowest value is {bottom:g}: are these Hounsfield units, or is 1024 added?"
        return (said,) if bottom > _AIR else ()
    first = float(values.min(initial=top, where=values > bottom))
    last = float(values.max(initial=bottom, where=values < top))
    extremes = [
        (top, 2 * (top - last) > top - bottom),
        (bottom, bottom < 0 <= first and 2 * (first - bottom) > top - bottom),
    ]
    alone = [f"{value:g}" for value, apart in extremes if apart and first <= last]
    return tuple(
        f"all values but {value} lie in {first:g} to {last:g}: an outlier or padding, which takes the contrast? Mask it"
        for value in alone
    )
