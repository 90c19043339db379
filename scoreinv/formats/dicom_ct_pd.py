"""DICOM-CT-PD: projections of clinical scanners, one file for each view (Chen et al. 2015, Med. Phys. 42, 6964)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from scoreinv.formats.guard import MAX_BYTES, FileError, check_bytes, reading, shown

KIND = "a folder of DICOM-CT-PD projections"
# Private elements by what they hold. Angles are in radians, lengths in mm, the central element counts from 1.
PITCH, ROW_PITCH, SHAPE, ROWS, COLUMNS = (0x70291002, 0x70291006, 0x7029100B, 0x70291010, 0x70291011)
ANGLE, AXIAL, RADIUS, DETECTOR_DISTANCE, CENTRAL = (0x70311001, 0x70311002, 0x70311003, 0x70311031, 0x70311033)
ANGLE_SHIFT, WATER = 0x7033100B, 0x70411001


def is_projection(path: str | Path) -> bool:
    """Whether a DICOM file holds a projection."""
    try:
        return ANGLE in pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except Exception:  # not DICOM at all
        return False


def read_projections(files: list[Path], path: str | Path) -> dict[str, np.ndarray]:
    """The views of a scan, sorted as they were taken, as line integrals with their geometry.

    The source of a view is at radius (-sin(angle), cos(angle)), as in `operators.geometry`.

    Args:
        files: one for each view.
        path: what messages name.

    Returns:
        sinogram [views, rows, columns], angles [views] in radians, source_to_axis, source_to_detector,
        detector_pitch in mm, axis, curved, and water per mm where the scanner says it.

    Raises:
        ValueError: files of something else, of several sizes, or of a table that moves.
    """
    with reading(path, KIND):
        headers = [pydicom.dcmread(file) for file in files]
        lacking = [file for file, header in zip(files, headers, strict=True) if ANGLE not in header]
        if lacking:
            raise FileError(f"{shown(lacking[0])} has no DetectorFocalCenterAngularPosition; allowed: {KIND}")
        headers.sort(key=lambda header: int(header.get("InstanceNumber", 0) or 0))
        first = headers[0]
        check_bytes((len(headers), int(first.Rows), int(first.Columns)), np.float32, path, MAX_BYTES)
        _check_table(headers, path)
        views = np.stack([_view(header) for header in headers])
        shifts = [_number(header, ANGLE_SHIFT) if ANGLE_SHIFT in header else 0.0 for header in headers]
        angles = np.array([_number(header, ANGLE) for header in headers]) + shifts
        found = {
            "sinogram": views,
            "angles": angles,
            "source_to_axis": _number(first, RADIUS),
            "source_to_detector": _number(first, DETECTOR_DISTANCE),
            "detector_pitch": _number(first, PITCH),
            "axis": _numbers(first, CENTRAL)[0] - 1,
            "curved": 0.0 if "FLAT" in _text(first, SHAPE).upper() else 1.0,
        }
        water = _number(first, WATER) if WATER in first else 0.0
        return {name: np.asarray(value) for name, value in (found | ({"water": water} if water else {})).items()}


def _check_table(headers: Sequence[pydicom.Dataset], path: str | Path) -> None:
    """Refuses helical scans, whose rows belong to other slices in every view."""
    places = [_number(header, AXIAL) for header in headers if AXIAL in header]
    limit = _number(headers[0], ROW_PITCH) if ROW_PITCH in headers[0] else 1.0
    if places and np.ptp(places) > limit:
        raise FileError(
            f"the table of {shown(path)} moves by {np.ptp(places):.3g} mm during the scan; allowed: one turn at one "
            "place: rebin a helical scan to fan beams of one slice first"
        )


def _view(header: pydicom.Dataset) -> np.ndarray:
    values = header.pixel_array.astype(np.float32)
    values = values * float(header.get("RescaleSlope", 1)) + float(header.get("RescaleIntercept", 0))
    # Pixels are stored with the detector's columns along the rows of the image.
    stored = (int(_number(header, COLUMNS)), int(_number(header, ROWS))) if COLUMNS in header else values.shape[::-1]
    return values.T if values.shape == stored else values


def _text(header: pydicom.Dataset, tag: int) -> str:
    value = header[tag].value if tag in header else ""
    return value.decode("ascii", "ignore") if isinstance(value, bytes) else str(value)


def _numbers(header: pydicom.Dataset, tag: int) -> np.ndarray:
    """The numbers of a private element, whose type implicit files do not say: single precision, or short integers."""
    value: Any = header[tag].value
    if isinstance(value, bytes):
        integers = tag in (ROWS, COLUMNS)
        return np.frombuffer(value, "<u2" if integers else "<f4").astype(np.float64)
    return np.atleast_1d(np.asarray(value, np.float64))


def _number(header: pydicom.Dataset, tag: int) -> float:
    return float(_numbers(header, tag)[0])
