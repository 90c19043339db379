"""What a fan-beam sinogram says about itself: rays that were measured from both ends are the same from both."""

from dataclasses import replace

import numpy as np

from scoreinv.operators.geometry import BeamGeometry
from scoreinv.operators.rebinning import GAP, rebinning
from scoreinv.scans.ct_checks import OFFSET, Sinogram

SIDE = 64  # of the image that the rebinned views are dense enough for
# Share of the rays that must be measured twice for a verdict; a full turn measures all twice, a short scan few.
TWICE = 0.3
# Views further apart say nothing: what lies between them is interpolated.
DENSE = np.deg2rad(5)
# Difference of the two ends relative to the spread of the rays: 0.02 to 0.1 for what is right, 0.23 to 0.6 for columns
# in the wrong order; by how much another reading has to be better.
WRONG, BETTER = 0.2, 0.6
# Two readings that both differ by less are as good as each other.
SHARP = 0.02
# From here on flat and arc are told apart: half fans of 24 degrees and up without noise, 0.9 % against 0.4 %. In
# narrower fans, or with noise of 1 % and more, the ends differ alike.
BENT = 0.005
REACH = 16.0  # columns about the middle within which the axis is looked for


def missing_views(beam: BeamGeometry) -> list[str]:
    """What is to be said where the views of a fan do not see every line through the image.

    Args:
        beam: with the image's shape and pixel.
    """
    ordered = np.sort(np.mod(beam.angles, 2 * np.pi))
    gaps = np.diff(ordered, append=ordered[0] + 2 * np.pi)
    usual = float(np.quantile(gaps, 0.75))
    covered = 2 * np.pi - float(np.sum(gaps[gaps > GAP * usual] - usual))
    radius = max(beam.shape) * beam.pixel / 2
    needed = np.pi + 2 * np.arcsin(min(1.0, radius / beam.source_to_axis))
    if covered > needed - usual:
        return []
    return [
        f"the views cover {np.rad2deg(covered):.0f} degrees, and a fan needs {np.rad2deg(needed):.0f} to see every "
        "line through the image: what it does not see rests on the prior"
    ]


def end_difference(beam: BeamGeometry, p: Sinogram) -> float | None:
    """Root mean square difference of the two ends of a ray relative to the rays' spread; None without such rays."""
    gaps = np.diff(np.sort(np.mod(beam.angles, 2 * np.pi)))
    if gaps.size < 2 or np.median(gaps) > DENSE:
        return None
    distance = beam.source_to_axis / beam.pitch_at_axis
    table, _ = rebinning(np.asarray(beam.angles), beam.fan_angles, distance, (SIDE, SIDE), 1.0)
    column, view, weight = np.asarray(table.column), np.asarray(table.view), np.asarray(table.weight)
    across, between = np.asarray(table.column_fraction), np.asarray(table.view_fraction)
    bins = np.arange(len(column))
    columns = (1 - across) * p[:, column] + across * p[:, np.minimum(column + 1, p.shape[1] - 1)]
    circle = (1 - between) * columns[view[0], bins] + between * columns[view[1], bins]
    half = len(circle) // 2
    one, other = circle[:half], circle[half:, ::-1]
    twice = (weight[:half] > 0) & (weight[half:, ::-1] > 0)
    if twice.mean() < TWICE:
        return None
    return float(np.sqrt(np.mean((one - other)[twice] ** 2)) / max(one[twice].std(), 1e-30))


def checked_fan(
    beam: BeamGeometry, p: Sinogram, noise_std: float, axis_given: bool, refuse: bool
) -> tuple[BeamGeometry, list[str]]:
    """The geometry, corrected where only the other order of the columns, or another axis, agrees with the data.

    Args:
        beam: as the file and the user say.
        p: line integrals.
        noise_std: of p.
        axis_given: whether somebody said where the axis is.
        refuse: whether data that agree with neither are refused.

    Returns:
        (geometry, notes).
    """
    found = end_difference(beam, p)
    if found is None:
        return beam, []
    wrong = WRONG + 2 * noise_std / max(float(p.std()), 1e-30)
    best, difference = _with_axis(beam, p, found, axis_given)
    if difference > SHARP:
        turned = replace(beam, reversed=not beam.reversed)
        other, less = _with_axis(turned, p, end_difference(turned, p) or np.inf, axis_given)
        if less < BETTER * difference:
            best, difference = other, less
    notes = []
    if difference > wrong:
        what = (
            f"with these distances the two ends of a ray differ by {100 * difference:.0f} % of the rays' spread: check "
            "angles, distances, pitch, the order of the columns and scan.axis"
        )
        if refuse:
            raise ValueError(f"{what}; scan.checks=False reconstructs them all the same")
        return beam, [what]
    arc = replace(best, curved=not best.curved)
    as_arc = end_difference(arc, p) or np.inf
    if as_arc < BETTER * difference and difference > BENT:
        kind = "an arc" if arc.curved else "flat"
        notes.append(
            f"the two ends of each ray differ by {100 * difference:.1f} %, with a detector that is {kind} by "
            f"{100 * as_arc:.1f} %: scan.curved={arc.curved} if it is one"
        )
    if best.reversed != beam.reversed:
        way = "left" if best.reversed else "right"
        notes.append(f"columns count to the {way}: only then are the two ends of a ray the same; scan.reversed says it")
    if best.axis != beam.axis:
        notes.append(
            f"the ray through the axis of rotation meets column {best.axis:.2f}, as the two ends of each ray say; "
            "scan.axis sets it"
        )
    return best, notes


def _with_axis(beam: BeamGeometry, p: Sinogram, found: float, axis_given: bool) -> tuple[BeamGeometry, float]:
    """(the geometry with the axis that agrees best, how well), among whole columns first, then by a parabola."""
    if axis_given:
        return beam, found
    middle = (beam.detectors - 1) / 2
    offsets = np.arange(-REACH, REACH + 1, 2.0)
    for _ in range(2):
        moved = [replace(beam, axis=middle + offset) for offset in offsets]
        values = np.array([end_difference(one, p) or np.inf for one in moved])
        best = int(np.clip(np.argmin(values), 1, len(values) - 2))
        before, at, after = values[best - 1 : best + 2] ** 2
        curvature = before - 2 * at + after
        step = offsets[1] - offsets[0]
        centre = offsets[best] + (step * 0.5 * (before - after) / curvature if 0 < curvature < np.inf else 0.0)
        offsets = centre + np.array([-0.5, 0.0, 0.5])
    moved_beam = replace(beam, axis=middle + centre)
    value = end_difference(moved_beam, p) or np.inf
    return (moved_beam, value) if abs(centre) > OFFSET and value < BETTER * found else (beam, found)
