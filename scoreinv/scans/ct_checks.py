"""What a sinogram says about itself before any work: angles, order of the axes, logarithm, beam, axis, noise.

Parallel projections of one object have the same sum in every view, and their centre of mass is
a cos(angle) + b sin(angle) + c, c being the axis of rotation (Helgason and Ludwig's conditions of order 0 and 1).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Sinogram = Float[np.ndarray, "views detectors"]

# Spread of the views' sums, relative to their mean, above which the axes are in another order: 1.06 for [detectors,
# views], 0.02 for counts, below 0.01 for what is right, some per cent for truncated and real data.
SUMS = 0.15
# Residual of the centres of mass, detectors, above which the rays are no parallel beam at these angles: 0.6 to 1.3 for
# degrees taken for radians, 1.2 for a fan; and in standard deviations of what noise does to it (0.03 in all). Real
# scans scatter and harden: 1.05 of 503 detectors in a neutron scan, 0.0021 of the width, which is warned of.
RESIDUAL, DEVIATIONS, SHARE = 0.3, 5.0, 0.0025
# The outermost detectors hold this share of the largest value where the object is larger than what they see.
TRUNCATED = 0.05
# Offset of the axis that is corrected, detectors, and the largest standard deviation with which it has to be known.
OFFSET, KNOWN = 0.25, 0.25


@dataclass(frozen=True)
class Consistency:
    """How a sinogram agrees with parallel projections of one object.

    Attributes:
        sums: standard deviation of the views' sums, relative to their mean.
        residual: root mean square of the centres of mass about a cos + b sin + c, detectors.
        expected: what noise makes of the residual, detectors.
        axis: c, detectors from the middle of the detector.
        axis_std: standard deviation of c.
        edges: what the outermost detectors hold, relative to the largest value.
        detectors: number of them.
    """

    sums: float
    residual: float
    expected: float
    axis: float
    axis_std: float
    edges: float
    detectors: int

    @property
    def truncated(self) -> bool:
        """Whether the object is larger than what the detector sees, where the rules do not hold."""
        return self.edges > TRUNCATED

    @property
    def close(self) -> bool:
        """Whether the centres of mass move as those of parallel projections."""
        return bool(self.residual <= max(RESIDUAL, DEVIATIONS * self.expected))

    @property
    def parallel(self) -> bool:
        """Whether they move as those of real parallel projections may."""
        return bool(self.close or self.residual <= SHARE * self.detectors)

    @property
    def axis_known(self) -> bool:
        """Whether the axis of rotation follows from the centres of mass."""
        return bool(self.close and not self.truncated and self.axis_std < KNOWN)

    @property
    def axis_roughly_known(self) -> bool:
        """Whether they tell more of it than the middle of the detector does."""
        return bool(self.parallel and not self.truncated and self.axis_std < KNOWN)


def consistency(y: Sinogram, angles: Float[np.ndarray, " views"], noise_std: float = 0.0) -> Consistency:
    """Compares line integrals with parallel projections at `angles`, radians.

    Args:
        y: line integrals.
        angles: radians.
        noise_std: standard deviation of the noise on each ray.
    """
    s = np.arange(y.shape[1]) - (y.shape[1] - 1) / 2
    sums = y.sum(1, dtype=np.float64)
    mean = max(float(np.abs(sums).mean()), 1e-30)
    centres = (y @ s) / np.where(np.abs(sums) > 1e-3 * mean, sums, mean)
    design = np.stack([np.cos(angles), np.sin(angles), np.ones_like(angles)], 1)
    residual = centres - design @ np.linalg.lstsq(design, centres, rcond=None)[0]
    free = max(1, len(angles) - 3)
    rms = float(np.sqrt(np.sum(residual**2) / free))
    expected = noise_std * float(np.sqrt(np.sum(s**2))) / mean
    covariance = np.linalg.pinv(design.T @ design)[2, 2]
    axis = np.linalg.lstsq(design, centres, rcond=None)[0][2]
    determined = np.linalg.cond(design) < 1e6
    axis_std = max(rms, expected) * float(np.sqrt(covariance)) if determined else np.inf
    return Consistency(float(sums.std() / mean), rms, expected, float(axis), axis_std, edge_share(y), y.shape[1])


def edge_share(y: Sinogram, columns: tuple[int, ...] = (0, 1, -2, -1)) -> float:
    """Mean of the outermost two detectors on each side, or of others, relative to a large value of the sinogram."""
    edges = np.abs(y[:, list(columns)].mean(1)).mean()
    return float(edges / max(np.quantile(np.abs(y), 0.99), 1e-30))


def noise_level(y: Sinogram, roots: Sinogram | None = None) -> float:
    """Standard deviation of the noise on each ray, from second differences of neighbouring detectors and views.

    Of the object's own rays, whose differences are small beside the noise's nearly everywhere: their median is what
    counts (a ray is compared with the mean of its neighbours, first along one axis, then along the other).

    Args:
        y: line integrals.
        roots: root weights of the rays, by which their noise is whitened; None: 1.
    """
    weight = np.ones_like(y) if roots is None else roots
    estimates = []
    object_rays = np.abs(y) > 0.1 * np.quantile(np.abs(y), 0.99)
    rows = y[:, 1:-1] - (y[:, :-2] + y[:, 2:]) / 2
    inside = object_rays[:, 1:-1] & object_rays[:, :-2] & object_rays[:, 2:]
    candidates = [(rows, inside, weight[:, 1:-1], np.sqrt(1.5))]
    if len(y) > 2:
        both = rows[1:-1] - (rows[:-2] + rows[2:]) / 2
        candidates.append((both, inside[1:-1] & inside[:-2] & inside[2:], weight[1:-1, 1:-1], 1.5))
    for differences, kept, own, gain in candidates:
        values = np.abs(differences * own)[kept if kept.sum() >= 50 else ...]
        if values.size:
            estimates.append(float(np.median(values)) / 0.6745 / gain)
    return min(estimates, default=0.0)


def is_before_logarithm(y: Sinogram) -> bool:
    """Whether the rays beside the object are the largest: counts or transmission, whose logarithm was not taken."""
    width = max(1, y.shape[1] // 50)
    edges = min(np.median(y[:, :width]), np.median(y[:, -width:]))  # hot columns may sit at one of them
    middle = np.median(y[:, y.shape[1] // 4 : -(y.shape[1] // 4) or None])
    return bool(edges > middle and edges > 0.5 * np.quantile(y, 0.99))


def angles_in_radians(angles: Float[np.ndarray, " views"], unit: str = "") -> tuple[Float[np.ndarray, " views"], str]:
    """The angles in radians, and what was done.

    Args:
        angles: of the views.
        unit: "radians", "degrees", or "" for what their range says: more than a turn in radians is degrees.

    Raises:
        ValueError: more than three turns, or some angles in radians and some in degrees.
    """
    reach = float(np.abs(angles).max(initial=0))
    _refuse_mixture(angles)
    if unit == "radians" or (not unit and reach <= 2 * np.pi * 1.01):
        return angles, ""
    span = float(np.ptp(angles))
    if not unit and len(angles) > 1 and span <= 2 * np.pi * 1.01:
        raise ValueError(f"angles from {angles.min():g} to {angles.max():g} may be either; set scan.angle_unit")
    if span > 360 * 3:
        raise ValueError(f"angles span {span:g}; give radians, or degrees of up to three turns")
    said = "" if unit else f"angles from {angles.min():g} to {angles.max():g} were taken for degrees"
    return np.deg2rad(angles), said


def _refuse_mixture(angles: Float[np.ndarray, " views"]) -> None:
    steps = np.abs(np.diff(angles))
    steps = steps[steps > 1e-9]
    if len(steps) < 6:
        return
    large = steps > np.sqrt(np.prod(np.quantile(steps, [0.1, 0.9])))  # of both kinds, and not of one jump between them
    ratio = np.median(steps[large]) / np.median(steps[~large]) if 0 < large.sum() < len(steps) else 1.0
    if 0.1 < large.mean() < 0.9 and abs(np.deg2rad(ratio) - 1) < 0.02:
        raise ValueError(
            f"angles step by {np.median(steps[~large]):.3g} in some places and by {np.median(steps[large]):.3g} in "
            "others, which is the same step in radians and in degrees; give all of them in one unit"
        )


def oriented(y: Float[np.ndarray, "_ _"], views: int) -> tuple[Float[np.ndarray, "_ _"], str]:
    """The sinogram as [views, detectors], and what was done: sums along the detectors are the same in every view."""
    rows, columns = y.shape
    if rows != views and columns == views:
        return y.T, f"sinogram of shape {y.shape} with {views} angles was transposed to [views, detectors]"
    if rows == columns == views and _spread(y.T) < _spread(y) / 3 and _spread(y) > SUMS:
        said = "sinogram was transposed: its sums are the same in every column, as those of views are"
        return y.T, f"{said} (spread {_spread(y.T):.3g}, along the rows {_spread(y):.3g})"
    return y, ""


def _spread(y: Float[np.ndarray, "_ _"]) -> float:
    sums = y.sum(1, dtype=np.float64)
    return float(sums.std() / max(np.abs(sums.mean()), 1e-30))


def axis_from_opposite_views(y: Sinogram, angles: Float[np.ndarray, " views"]) -> float | None:
    """The axis of rotation, detectors from the middle, from views half a turn apart; None where there are none.

    A view and the one opposite of it, read backwards, are the same projection shifted by twice the offset, also of an
    object larger than the detector: their mean square difference where they overlap is smallest there.
    """
    step = float(np.median(np.diff(np.sort(np.mod(angles, 2 * np.pi))))) if len(angles) > 1 else 0.0
    distance = np.abs(np.mod(angles[:, None] - angles, 2 * np.pi) - np.pi)
    first, second = (index[:: max(1, len(index) // 40)] for index in np.nonzero(distance <= max(step / 4, 1e-3)))
    if not first.size:
        return None
    views, flipped, n = y[first], y[second, ::-1], y.shape[1]
    lags = np.arange(-(n // 2), n // 2 + 1)
    difference = np.array(
        [
            np.mean((views[:, max(0, lag) : n + min(0, lag)] - flipped[:, max(0, -lag) : n - max(0, lag)]) ** 2)
            for lag in lags
        ]
    )
    best = int(np.clip(np.argmin(difference), 1, len(lags) - 2))
    before, at, after = difference[best - 1 : best + 2]
    curvature = before - 2 * at + after
    return float(lags[best] + (0.5 * (before - after) / curvature if curvature > 0 else 0.0)) / 2
