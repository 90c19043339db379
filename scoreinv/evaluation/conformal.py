"""Intervals that hold for new subjects: conformal prediction over subjects, conditional on the local spread.

Pixels of one subject are not exchangeable with each other, subjects are. Hierarchical conformal prediction (Lee,
Barber and Willett 2023) gives each of n validation subjects the weight 1 / (n + 1), spread over its pixels, and the
rest to a new subject that may be arbitrarily wrong: the quantile of that distribution covers a random pixel of a new
subject with at least the nominal probability. It is taken apart for pixels of small and of large spread, so that it
holds within each class.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float
from scipy import ndimage

from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import reading
from scoreinv.formats.records import read_json

Values = Float[np.ndarray, "*shape"] | Float[Array, "*shape"]
Pixels = Float[np.ndarray, "_"]  # of any number
# A subject's absolute errors and the spreads at the same pixels.
Scores = tuple[Pixels, Pixels]

CORRECTIONS = "corrections of intervals that --mode=calibrate writes"
LEVELS = (0.5, 0.8, 0.9, 0.95)
EDGES = (0.01, 0.02, 0.04, 0.08)  # between classes of spread, in the unit of the image
ANY = "any"  # the task whose correction serves tasks that have none
FLOOR = 0.003  # spread of pixels whose draws agree


@dataclasses.dataclass(frozen=True)
class Correction:
    """How wide intervals must be, as fitted on validation subjects.

    Attributes:
        fitted_on: what a reader is told: prior, task, method and data.
        subjects: number of validation subjects n.
        levels: nominal probabilities.
        edges: spreads between the classes, ascending, in the unit of the image.
        factors: [levels][classes], half width over spread.
    """

    fitted_on: str
    subjects: int
    levels: tuple[float, ...]
    edges: tuple[float, ...]
    factors: tuple[tuple[float, ...], ...]

    def half_width(self, spread: Values, level: float) -> np.ndarray:
        """Half the length of each pixel's interval.

        Args:
            spread: `local_spread` of the draws.
            level: one of `levels`.

        Returns:
            An array of the spread's shape.

        Raises:
            ValueError: a level that was not fitted.
        """
        if level not in self.levels:
            known = ", ".join(map(str, self.levels))
            raise ValueError(f"interval level {level}; the correction was fitted for {known}")
        factors = np.asarray(self.factors[self.levels.index(level)])
        values = np.asarray(spread)
        return factors[np.searchsorted(self.edges, values, side="right")] * values


def task_name(operator: str, noise_std: float) -> str:
    """The name that a correction goes by: of its operator, and apart where the data are free of noise.

    Args:
        operator: its name, as "4x"; "" where nothing is known.
        noise_std: noise of the measurement.
    """
    return operator if noise_std > 0 or not operator else f"{operator}, no noise"


def local_spread(std: Values, window: float = 1.0, floor: float = FLOOR) -> np.ndarray:
    """sqrt(G * std^2 + floor^2): the spread about each pixel, which few draws leave less to chance than at it.

    Args:
        std: standard deviation over the draws [H, W, C].
        window: standard deviation of the Gaussian G, in pixels.
        floor: spread where all draws agree.

    Returns:
        The map [H, W, C].
    """
    variance = ndimage.gaussian_filter(np.asarray(std, np.float64) ** 2, (window, window, 0))
    return np.sqrt(np.maximum(variance, 0.0) + floor**2)


def subject_quantile(scores: Sequence[Pixels], level: float) -> float:
    """The value that a random pixel of a new subject stays below with probability `level` at least.

    With fewer than level / (1 - level) subjects no finite number has that property; it is then the largest score.

    Args:
        scores: of each subject with a pixel.
        level: in (0, 1).

    Returns:
        The quantile.

    Raises:
        ValueError: no subject, one without a pixel, or a level outside (0, 1).
    """
    if not scores or min(map(len, scores)) < 1 or not 0 < level < 1:
        raise ValueError(
            f"{len(scores)} subjects of {[len(s) for s in scores]} pixels, level={level}; give at least one pixel for "
            "each subject, and 0 < level < 1"
        )
    pooled = np.concatenate(scores)
    weight = np.concatenate([np.full(len(s), 1 / (len(s) * (len(scores) + 1))) for s in scores])
    order = np.argsort(pooled)
    index = int(np.searchsorted(np.cumsum(weight[order]), level * (1 - 1e-12)))
    return float(pooled[order][min(index, len(order) - 1)])


def levels_for(subjects: int, levels: Sequence[float] = LEVELS) -> tuple[float, ...]:
    """The levels that a number of validation subjects can promise: level / (1 - level) of them are needed, 9 for 90 %.

    Args:
        subjects: n.
        levels: nominal probabilities.
    """
    return tuple(level for level in levels if level <= (1 - level) * subjects * (1 + 1e-9))


def fit(
    scores: Mapping[str, Scores],
    fitted_on: str,
    levels: Sequence[float] = LEVELS,
    edges: Sequence[float] = EDGES,
    share: float = 0.01,
) -> Correction:
    """Fits a correction on validation subjects.

    Args:
        scores: (absolute errors, local spreads) of each subject's pixels.
        fitted_on: what to tell readers.
        levels: nominal probabilities.
        edges: spreads between the classes; fixed beforehand, as classes chosen by the data would not be exchangeable.
        share: a class that holds less of all pixels, or that fewer subjects have pixels in than a level needs
            (`levels_for`), is fitted with its neighbour of smaller spread, the lowest with the one above: its own
            quantile would be the largest error of a few pixels.

    Returns:
        The correction.

    Raises:
        ValueError: fewer than 2 subjects.
    """
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} validation subject; intervals that hold for others need at least 2, better 10")
    classes = [_in_class(scores, edges, c, c) for c in range(len(edges) + 1)]
    factors = [
        [
            subject_quantile(_in_class(scores, edges, *merged), level)
            for merged in _merged(classes, level, len(scores), share)
        ]
        for level in levels
    ]
    return Correction(fitted_on, len(scores), tuple(levels), tuple(edges), tuple(map(tuple, factors)))


def _in_class(scores: Mapping[str, Scores], edges: Sequence[float], first: int, last: int) -> list[Pixels]:
    """|error| / spread of each subject's pixels in the classes first to last, where it has any."""
    found = []
    for error, spread in scores.values():
        number = np.searchsorted(edges, spread, side="right")
        inside = (number >= first) & (number <= last)
        found.append(error[inside] / spread[inside])
    return [ratios for ratios in found if len(ratios)]


def _merged(classes: Sequence[list[Pixels]], level: float, subjects: int, share: float) -> list[tuple[int, int]]:
    """For each class the (first, last) class that it is fitted with."""
    pixels = [sum(map(len, of_class)) for of_class in classes]
    needed = min(level / (1 - level) * (1 - 1e-9), subjects)
    populated = [
        c for c, of_class in enumerate(classes) if len(of_class) >= needed and pixels[c] >= share * sum(pixels)
    ]
    if not populated:
        return [(0, len(classes) - 1)] * len(classes)
    merged = []
    for c in range(len(classes)):
        below = max((p for p in populated if p <= c), default=populated[0])
        merged.append((min(below, c), max(below, c)))
    return merged


def save(path: Path, corrections: Mapping[str, Correction]) -> None:
    """Writes corrections by task as JSON."""
    content = {task: dataclasses.asdict(correction) for task, correction in corrections.items()}
    write_atomically(path, lambda p: p.write_text(json.dumps(content, indent=1) + "\n"))


def load(path: Path) -> dict[str, Correction]:
    """Reads what `save` wrote.

    Raises:
        ValueError: no such file, or another content.
    """
    content = read_json(path, CORRECTIONS)
    with reading(path, CORRECTIONS):
        return {task: _correction(**fields) for task, fields in content.items()}


def _correction(fitted_on, subjects, levels, edges, factors) -> Correction:
    if len(factors) != len(levels) or any(len(row) != len(edges) + 1 for row in factors):
        raise ValueError(f"{len(levels)} levels and {len(edges)} edges do not fit the factors")
    rows = tuple(tuple(float(factor) for factor in row) for row in factors)
    return Correction(str(fitted_on), int(subjects), tuple(map(float, levels)), tuple(map(float, edges)), rows)
