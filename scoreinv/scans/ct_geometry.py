"""The geometry of a measured sinogram, from its file, from what the user says, and from the data."""

from dataclasses import dataclass, replace

import numpy as np

from scoreinv.formats.arrays import Arrays
from scoreinv.operators.geometry import BeamGeometry
from scoreinv.scans.ct_checks import (
    OFFSET,
    SUMS,
    Sinogram,
    angles_in_radians,
    axis_from_opposite_views,
    consistency,
)
from scoreinv.scans.ct_names import number
from scoreinv.scans.fan_checks import checked_fan, missing_views

# Name of an array of angles -> their unit, where the name says it.
ANGLES = {"angles": "", "angles_degrees": "degrees", "angles_radians": "radians"}
# A scanner for anything but buildings sees less than this, mm.
WIDEST = 5000.0
# At most: columns at the axis in a pixel, pixels in a column; pixels of an image for each ray, beyond a small image.
LEAST = 4  # pixels of a side
FINEST, MOST_PIXELS, SMALL = 16.0, 100, 256**2


@dataclass(frozen=True)
class GeometrySettings:
    """What a user may say about the geometry that the file does not; what is 0, negative or empty is not said.

    Attributes:
        angle_unit: "radians", "degrees" or "".
        start_angle: degrees that are added to all angles.
        angles: (first, last) view in degrees, of evenly spaced views whose file has no angles; empty: not said.
        source_to_axis: mm.
        source_to_detector: mm.
        detector_pitch: width of a column, mm.
        curved: the detector is an arc about the source.
        reversed: columns are counted towards the left of a view.
        axis: column, from 0, that the axis of rotation projects onto; negative: estimated.
        pixel: side of an image pixel, mm.
        shape: (H, W) of the image.
        checks: whether data that contradict the geometry are refused; they are warned of otherwise.
    """

    angle_unit: str = ""
    start_angle: float = 0.0
    angles: tuple[float, ...] = ()
    source_to_axis: float = 0.0
    source_to_detector: float = 0.0
    detector_pitch: float = 0.0
    curved: bool = False
    reversed: bool = False
    axis: float = -1.0
    pixel: float = 0.0
    shape: tuple[int, ...] = ()
    checks: bool = True


def view_angles(arrays: Arrays, views: int, settings: GeometrySettings) -> tuple[np.ndarray, list[str]]:
    """The angles in radians and what was done.

    Args:
        arrays: of the file.
        views: how many there are where the file has no angles.
        settings: what the user says.
    """
    if settings.angles:
        if len(settings.angles) != 2:
            raise ValueError(f"scan.angles={settings.angles}; give the first and the last view's angle, in degrees")
        count = next((arrays[name].size for name in ANGLES if name in arrays), views)
        return np.deg2rad(np.linspace(*settings.angles, count) + settings.start_angle), []
    stored = next((name for name in ANGLES if name in arrays), None)
    if stored is None:
        raise ValueError("the sinogram comes without `angles`; give one for each view, or scan.angles=(first, last)")
    unit = settings.angle_unit or ANGLES[stored]
    angles = np.ravel(arrays[stored])
    if not np.issubdtype(angles.dtype, np.number) or np.iscomplexobj(angles) or not np.all(np.isfinite(angles)):
        raise ValueError(f"angles are {angles.dtype}, or hold NaN or Inf; give one finite number for each view")
    radians, said = angles_in_radians(angles.astype(np.float64), unit)
    return radians + np.deg2rad(settings.start_angle), [said] if said else []


def scan_geometry(
    arrays: Arrays, y: Sinogram, angles: np.ndarray, noise_std: float, settings: GeometrySettings
) -> tuple[BeamGeometry, bool, list[str]]:
    """The geometry of a scan.

    Args:
        arrays: of the file, by their documented names.
        y: line integrals.
        angles: radians.
        noise_std: of y, for the checks.
        settings: what the user says; it wins over the file.

    Returns:
        (geometry, whether its lengths are in mm, notes).

    Raises:
        ValueError: distances that cannot be, or data that are no parallel projections where no distances are given.
    """
    said = {
        name: getattr(settings, name) or number(arrays, name)
        for name in ("source_to_axis", "source_to_detector", "detector_pitch", "pixel")
    }
    beam = BeamGeometry(
        angles,
        (1, 1),
        y.shape[1],
        pitch=said["detector_pitch"] or 1.0,
        source_to_axis=said["source_to_axis"],
        source_to_detector=said["source_to_detector"],
        curved=bool(settings.curved or number(arrays, "curved")),
        reversed=bool(settings.reversed or number(arrays, "reversed")),
    )
    if beam.is_fan and not said["detector_pitch"]:
        raise ValueError("a fan beam needs the detector's pitch; give detector_pitch in the unit of the distances")
    axis, notes = _axis(arrays, y, beam, noise_std, settings)
    beam = replace(beam, axis=axis)
    if beam.is_fan:
        beam, more = checked_fan(beam, y, noise_std, axis is not None, settings.checks)
        notes += more
    if 2 * beam.seen_radius > WIDEST and said["detector_pitch"]:
        raise ValueError(
            f"the detector sees {2 * beam.seen_radius / 1000:.3g} m, if lengths are in mm; check detector_pitch and "
            "the distances, and give them in mm"
        )
    pixel, shape, in_mm, more = _image(arrays, y, beam, said["pixel"], settings)
    beam = replace(beam, pixel=pixel, shape=shape)
    more += missing_views(beam) if beam.is_fan else []
    return beam, in_mm and bool(said["detector_pitch"]), notes + more


def _axis(arrays, y, beam: BeamGeometry, noise_std, settings) -> tuple[float | None, list[str]]:
    """The column of the axis, None for the middle, and what was found."""
    given = settings.axis if settings.axis >= 0 else (number(arrays, "axis") if "axis" in arrays else -1.0)
    found = consistency(y, beam.angles, noise_std)
    middle = (y.shape[1] - 1) / 2
    if beam.is_fan:
        return (given if given >= 0 else None), []
    notes = _check_parallel(found, len(y), settings.checks)
    if given >= 0:
        if found.axis_known and abs(given - middle - found.axis) > max(1.0, 4 * found.axis_std):
            notes.append(f"axis={given:g}, while the centres of mass of the projections say {middle + found.axis:.2f}")
        return given, notes
    offset = found.axis if found.axis_known else axis_from_opposite_views(y, beam.angles)
    how = "centres of mass" if found.axis_known or offset is None else "opposite views"
    if offset is None and found.axis_roughly_known:
        offset = found.axis
    if offset is None or abs(offset) <= max(OFFSET, 4 * found.axis_std if found.axis_known else 0):
        return None, notes
    notes.append(
        f"the axis of rotation projects onto column {middle + offset:.2f}, not onto the middle {middle:g}, as the "
        f"{how} of the projections say; scan.axis sets it"
    )
    return middle + offset, notes


def _check_parallel(found, views: int, refuse: bool) -> list[str]:
    wrong = []
    if found.sums > SUMS:
        wrong.append(f"their sums differ by {100 * found.sums:.0f} % from view to view")
    if views > 4 and not found.parallel:
        wrong.append(f"their centres of mass miss a cos + b sin + c by {found.residual:.2g} detectors")
    if not wrong:
        rough = f"the projections' centres of mass are off by {found.residual:.2g} detectors: scatter, or a wrong angle"
        return [] if found.close or found.truncated else [rough]
    what = f"these are no parallel projections of one object at these angles: {' and '.join(wrong)}"
    usual = (
        "check the angles and their unit, or give a fan beam its source_to_axis, source_to_detector and detector_pitch"
    )
    if found.truncated:
        return [f"{what}; the object is larger than what the detectors see, which may be why"]
    if refuse:
        raise ValueError(f"{what}; {usual}; scan.checks=False reconstructs them all the same")
    return [f"{what}; {usual}"]


def _image(arrays, y, beam: BeamGeometry, pixel: float, settings) -> tuple[float, tuple[int, int], bool, list[str]]:
    """(pixel, (H, W), whether the pixel is in the unit of the distances, notes)."""
    shape = _shape(settings.shape or arrays.get("shape", ()))
    seen = 2 * beam.seen_radius
    notes = []
    if pixel and not 1 / FINEST <= pixel / beam.pitch_at_axis <= FINEST:
        raise ValueError(
            f"pixels of {pixel:g} and columns of {beam.pitch_at_axis:g} at the axis; give scan.pixel in the unit of "
            f"the distances, within {FINEST:g} times the columns"
        )
    if not seen > 0:
        raise ValueError(
            f"no view sees the axis of rotation, column {beam.axis}; check scan.axis, or the detector's offset"
        )
    in_unit = True
    if not pixel:
        pixel = beam.pitch_at_axis
        # Distances may be in pixels of the image that the file speaks of: then it fills what the detectors see.
        if beam.is_fan and shape and 0.7 <= seen / max(shape) <= 2:
            pixel, in_unit = 1.0, False
            notes.append("distances were taken to be in pixels of the image; scan.pixel gives the side of one in mm")
    if not shape:
        # Detectors made to see all of a square image, unless the object reaches beyond that.
        inscribed = int(seen / pixel / np.sqrt(2)) // 8 * 8
        side = inscribed if inscribed >= 8 and _radius(y, beam) <= inscribed * pixel / 2 else round(seen / pixel)
        shape = (side, side)
        notes.append(f"no shape is given: the image has {side} x {side} pixels, which holds what the detectors saw")
    if shape[0] * shape[1] > max(SMALL, MOST_PIXELS * y.size):
        raise ValueError(
            f"an image of {shape[0]} x {shape[1]} of {y.shape[0]} views of {y.shape[1]} detectors; give scan.shape "
            f"with at most {MOST_PIXELS} pixels for each ray"
        )
    if max(shape) * pixel > 1.05 * seen:
        notes.append(
            f"the detectors see all of a circle {seen / pixel:.4g} pixels wide, the image is {shape[0]} x "
            f"{shape[1]}: the rest is seen in some views only"
        )
    return pixel, shape, in_unit, notes


def _shape(given) -> tuple[int, int] | None:
    values = np.ravel(np.asarray(given))
    if not values.size:
        return None
    numeric = values.dtype.kind in "iuf" and values.size <= 2
    if not numeric or np.any(values != np.round(values)) or np.any(values < LEAST) or np.any(values > 8192):
        raise ValueError(
            f"shape is {values.tolist()}; give the side of the image in pixels, at least {LEAST}, or [height, width]"
        )
    return int(values[0]), int(values[-1])


def _radius(y: Sinogram, beam: BeamGeometry) -> float:
    """How far from the axis any view saw more than noise, at the axis, in the unit of the geometry."""
    large = np.quantile(np.abs(y), 0.99)
    seen = np.median(np.sort(np.abs(y), axis=0)[-max(2, len(y) // 10) :], axis=0) > 0.05 * large
    distances = np.abs(beam.columns[seen]) * beam.pitch_at_axis / beam.pitch
    return float(distances.max(initial=0.0))
