"""How often intervals hold the truth: of subjects not looked at, by the size of the spread, and near edges."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, stats

from scoreinv.evaluation.conformal import EDGES, LEVELS, Scores, fit, local_spread
from scoreinv.evaluation.uncertainty import object_region, z_scores

Image = Float[np.ndarray, "H W C"]
Pixels = Float[np.ndarray, " pixels"]


class Case(NamedTuple):
    """The object's pixels of one slice of a subject.

    Attributes:
        subject: the patient.
        error: |truth - image| of the image that is shown.
        spread: `local_spread` of the draws.
        t: |truth - mean of the draws| over the standard error of a prediction, Student's t of K - 1 degrees of freedom
            for Gaussian draws that hold.
        draws: number of draws K.
        edge: whether the pixel is among the quarter of the object's with the largest gradient.
    """

    subject: str
    error: Pixels
    spread: Pixels
    t: Pixels
    draws: int
    edge: Bool[np.ndarray, " pixels"]


def case(subject: str, truth: Image, image: Image, draws: Float[np.ndarray, "K H W C"]) -> Case:
    """What a slice contributes.

    Args:
        subject: the patient.
        truth: true image.
        image: the reconstruction that intervals are centred on.
        draws: posterior draws, at least 2.

    Returns:
        Its pixels within the object.
    """
    region = object_region(truth)
    std = draws.std(0, ddof=1)
    t = np.abs(z_scores(truth, draws.mean(0), std, region, len(draws)))
    gradient = ndimage.gaussian_gradient_magnitude(np.linalg.norm(truth, axis=-1), 1.0)[region]
    edge = np.repeat(gradient > np.quantile(gradient, 0.75), truth.shape[-1])
    error, spread = (values[region].ravel() for values in (np.abs(truth - image), local_spread(std)))
    return Case(subject, error, spread, t, len(draws), edge)


def scores(cases: Sequence[Case]) -> dict[str, Scores]:
    """(errors, spreads) of each subject."""
    found: dict[str, list[Case]] = {}
    for c in cases:
        found.setdefault(c.subject, []).append(c)
    return {
        subject: (np.concatenate([c.error for c in own]), np.concatenate([c.spread for c in own]))
        for subject, own in found.items()
    }


def as_drawn(cases: Sequence[Case], level: float) -> list[Bool[np.ndarray, " pixels"]]:
    """Whether each pixel's truth lies in the draws' own interval: Student's, about their mean."""
    return [c.t <= stats.t.ppf((1 + level) / 2, c.draws - 1) for c in cases]


def left_out(cases: Sequence[Case], level: float) -> tuple[list[Bool[np.ndarray, " pixels"]], list[Pixels]]:
    """(whether the truth lies in it, half width) of intervals corrected by the other subjects alone.

    Args:
        cases: slices of at least 3 subjects.
        level: nominal probability.

    Returns:
        One array each for each case.
    """
    every = scores(cases)
    others = {s: fit({k: v for k, v in every.items() if k != s}, "the other subjects", (level,)) for s in every}
    widths = [others[c.subject].half_width(c.spread, level) for c in cases]
    return [c.error <= width for c, width in zip(cases, widths, strict=True)], widths


def report(cases: Sequence[Case], levels: Sequence[float] = LEVELS) -> dict[str, Any]:
    """Every number about intervals of one task; means over subjects.

    Args:
        cases: its slices.
        levels: nominal probabilities.

    Returns:
        {"slices", "subjects", "rank correlation" of error and spread, "as drawn": {level: {group: coverage}},
        "corrected": the same for subjects left out, "half width as drawn" and "half width": {level: median}, "worst
        subject": {level: its coverage corrected}}; groups are all, edges and the classes of spread.
    """
    found: dict[str, Any] = {"slices": len(cases), "subjects": len(scores(cases))}
    found["rank correlation"] = float(np.mean([stats.spearmanr(c.error, c.spread).statistic for c in cases]))
    found |= {name: {} for name in ("as drawn", "corrected", "half width as drawn", "half width", "worst subject")}
    for level in levels:
        inside, widths = left_out(cases, level)
        found["as drawn"][level] = _by_group(cases, as_drawn(cases, level))
        found["corrected"][level] = _by_group(cases, inside)
        found["half width"][level] = float(np.median(np.concatenate(widths)))
        factor = stats.t.ppf((1 + level) / 2, cases[0].draws - 1) * np.sqrt(1 + 1 / cases[0].draws)
        found["half width as drawn"][level] = float(factor * np.median(np.concatenate([c.spread for c in cases])))
        found["worst subject"][level] = min(_of_subjects(cases, inside))
    return found


def _of_subjects(cases: Sequence[Case], inside: Sequence[np.ndarray]) -> list[float]:
    pooled: dict[str, list[Any]] = {}
    for c, held in zip(cases, inside, strict=True):
        pooled.setdefault(c.subject, []).append(held)
    return [float(np.mean(np.concatenate(parts))) for parts in pooled.values() if sum(map(len, parts))]


def _by_group(cases: Sequence[Case], inside: Sequence[np.ndarray]) -> dict[str, float]:
    """Coverage, a mean over subjects, of all pixels, of those near edges, and by class of spread."""
    chosen = {"all": [np.ones(len(c.edge), bool) for c in cases], "edges": [c.edge for c in cases]}
    numbers = [np.searchsorted(EDGES, c.spread, side="right") for c in cases]
    for i, (low, high) in enumerate(zip((0.0, *EDGES), (*EDGES, np.inf), strict=True)):
        chosen[f"{low:g} to {high:g}"] = [number == i for number in numbers]
    means = {}
    for name, masks in chosen.items():
        values = _of_subjects(cases, [held[mask] for held, mask in zip(inside, masks, strict=True)])
        if values:
            means[name] = float(np.mean(values))
    return means
