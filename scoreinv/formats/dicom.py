"""DICOM: one series, sorted along its normal, in the unit that the files declare."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from scoreinv.formats.dicom_files import Frame, image_frames, read_header, stored_frames
from scoreinv.formats.dicom_series import check_one_size, check_one_spacing, choose_series, refuse_doubles
from scoreinv.formats.guard import DAMAGED, FREE_BYTES, MAX_BYTES, MAX_RATIO, FileError, check_bytes, shown
from scoreinv.formats.mosaic import is_mosaic, tiles
from scoreinv.formats.volume import PLANES, Geometry, Volume, layout

AIR_HU = -1024.0
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MIXED = 1e-3
TILTED = 0.5  # degrees


def read_dicom(files: Sequence[Path], path: Path, key: str = "", plane: str = "") -> Volume:
    """Reads the files of one series, or the frames of one file.

    Several slices are laid out as `volume.Layout` says, in the plane they were acquired in; a single one stays as it is
    stored.

    Args:
        files: DICOM files in any order, of one series or of several.
        path: file or folder that error messages name.
        key: which of several series: its number, UID or description; or attributes, "EchoTime=20".
        plane: "axial", "coronal" or "sagittal", to cut several slices otherwise than they were acquired.

    Returns:
        The volume.

    Raises:
        ValueError: no image, several series or sizes, missing or doubled slices, undecodable pixels.
    """
    if not files:
        raise FileError(f"folder {shown(path)} holds no DICOM file; give a folder with the files of one series")
    chosen = choose_series([(file, read_header(file)) for file in files], path, key)
    frames = [frame for file, header in chosen for frame in image_frames(file, header)]
    check_one_size(frames, path)
    check_one_spacing([_spacing(frame) for frame in frames], path)
    if len(frames) == 1 and is_mosaic(frames[0].header):
        return _mosaic(frames[0])
    limit = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * sum(file.stat().st_size for file, _ in chosen)))
    rows, columns = int(frames[0].header.Rows), int(frames[0].header.Columns)
    check_bytes((len(frames), rows, columns), np.float32, path, limit)
    if len(frames) == 1:
        values = np.empty((1, rows, columns), np.float32)
        notes = _fill(values.transpose(2, 1, 0), frames)
        return _described(values, frames, _spacing(frames[0]), _single_geometry(frames[0]), notes)
    return _stacked(frames, (columns, rows, len(frames)), path, plane)


def _stacked(frames: list[Frame], shape: tuple[int, int, int], path: Path, plane: str) -> Volume:
    """Several slices, laid out by their positions where they have any."""
    ordered = _by_position(frames, path)
    if ordered is None:  # frames of one file without positions, or at the same: repetitions, echoes
        values = np.empty(shape[::-1], np.float32)
        notes = [f"{len(frames)} frames in the order of the file", *_fill(values.transpose(2, 1, 0), frames)]
        return _described(values, frames, _spacing(frames[0]), None, notes)
    affine = _affine(ordered)
    across = int(np.argmax(np.abs(affine[:3, 2])))
    acquired = {axis: name for name, axis in PLANES.items()}[across]
    found = layout(shape, affine, plane or acquired)
    values = np.empty([shape[axis] for axis in found.order], np.float32)
    notes = _fill(found.stored(values), ordered)
    if found.plane != "axial":
        notes = [f"{found.plane} slices" + ("" if plane else ", as acquired"), *notes]
    if (tilt := _tilt(affine)) > TILTED:
        said = "neighbouring slices are shifted against each other, as they were acquired; their places are kept"
        notes = [f"gantry tilt of {tilt:.1f} degrees: {said}", *notes]
    sources = ordered[::-1] if found.reverse[0] else ordered
    geometry = Geometry(found.affine, tuple(f.path for f in sources) if found.plane == acquired else (sources[0].path,))
    return _described(values, ordered, found.spacing, geometry, notes)


def _described(
    values: np.ndarray,
    frames: Sequence[Frame],
    spacing: tuple[float, float],
    geometry: Geometry | None,
    notes: Sequence[str],
) -> Volume:
    header, notes = frames[0].header, list(notes)
    kind, subject = str(header.get("Modality", "")), str(header.get("PatientID", ""))
    modality = kind if kind in ("CT", "MR") else ""
    unit = ""
    if kind == "CT":
        unit, why = _ct_unit(frames[0], values)
        notes += why
        if unit == "HU":
            # Scanners pad outside their field of view with values no tissue has (-2000, -3024).
            np.maximum(values, AIR_HU, out=values)
    if geometry is not None:
        geometry = Geometry(geometry.affine, geometry.sources, modality, unit)
    return Volume(values, spacing, modality, subject, unit, geometry, tuple(dict.fromkeys(notes)))


def _ct_unit(frame: Frame, values: np.ndarray) -> tuple[str, list[str]]:
    """The unit of a CT image and what is to be said about it."""
    declared = str(frame.get("RescaleType", "HU"))
    if declared not in ("HU", "HU_MOD", "US"):
        return "", [f"CT in the unit {declared!r}, not in Hounsfield units"]
    if frame.get("RescaleIntercept") is not None or values.min() <= -500:
        return "HU", []
    low, high = float(values.min()), float(values.max())
    found = f"stored values {low:g} to {high:g}"
    return "", [f"CT without RescaleSlope and RescaleIntercept: {found} are not Hounsfield units, as no air has them"]


def _fill(stored: np.ndarray, frames: Sequence[Frame]) -> list[str]:
    """Puts the values of the frames into stored [columns, rows, frames]; what is to be said about them."""
    notes: list[str] = []
    padded, place, filled = False, 0, 0
    for path, group in groupby(frames, key=lambda frame: frame.path):
        wanted = {frame.number: (place + i, frame) for i, frame in enumerate(group)}
        place += len(wanted)
        for number, pixels in enumerate(stored_frames(path)):
            if number in wanted:
                target, frame = wanted[number]
                values, mask = _in_unit(pixels, frame), _padding(pixels, frame.header)
                if mask.all():
                    raise FileError(f"{shown(path)} is padding throughout (PixelPaddingValue); choose another slice")
                padded |= bool(mask.any())
                stored[..., target] = np.where(mask, np.nan, values).T
                filled += 1
    if filled < len(frames):
        raise FileError(f"{shown(frames[0].path)} holds {filled} of the {len(frames)} frames it declares; {DAMAGED}")
    inverted = str(frames[0].header.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    low, high = np.nanmin(stored), np.nanmax(stored)
    computed = str(frames[0].header.get("Modality", "")) == "CT" and frames[0].get("RescaleIntercept") is not None
    if inverted and not computed:  # Hounsfield units mean the same however they are displayed
        np.subtract(low + high, stored, out=stored)
        notes.append("MONOCHROME1: stored inverted, turned back")
    if padded:
        notes.append("padding outside of the scanner's field of view (PixelPaddingValue) is background")
        np.nan_to_num(stored, copy=False, nan=AIR_HU if computed else float(low))
    return notes


def _in_unit(pixels: np.ndarray, frame: Frame) -> np.ndarray:
    """Stored values in the unit of the file (PS3.3, C.11.1)."""
    if "ModalityLUTSequence" in frame.header:
        return np.asarray(pydicom.pixels.apply_modality_lut(pixels, frame.header), np.float32)
    slope, intercept = float(frame.get("RescaleSlope", 1)), float(frame.get("RescaleIntercept", 0))
    return (np.asarray(pixels, np.float64) * slope + intercept).astype(np.float32)


def _padding(pixels: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """Where stored values are the padding that PixelPaddingValue, and PixelPaddingRangeLimit, name."""
    first = header.get("PixelPaddingValue")
    if not isinstance(first, int) or pixels.dtype.kind not in "iu":
        return np.zeros(pixels.shape, bool)
    last = header.get("PixelPaddingRangeLimit", first)
    bits = np.iinfo(pixels.dtype)
    turn = 2 ** (8 * pixels.dtype.itemsize)  # written as another integer type than the pixels are of
    ends = [
        v - turn if v > bits.max else v + turn if v < bits.min else v for v in (first, first if last is None else last)
    ]
    return (pixels >= min(ends)) & (pixels <= max(ends))


def _spacing(frame: Frame) -> tuple[float, float]:
    found = frame.vector("PixelSpacing", 2)
    if found is None:
        found = frame.vector("ImagerPixelSpacing", 2)
    return (1.0, 1.0) if found is None or min(found) <= 0 else (float(found[0]), float(found[1]))


def _axes(frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(along a row, along a column, normal) of a frame in LPS."""
    found = frame.vector("ImageOrientationPatient", 6)
    if found is None or abs(np.linalg.norm(np.cross(found[:3], found[3:])) - 1) > 0.1:
        return None
    return found[:3], found[3:], np.cross(found[:3], found[3:])


def _single_geometry(frame: Frame) -> Geometry | None:
    axes, position = _axes(frame), frame.vector("ImagePositionPatient", 3)
    if axes is None or position is None:
        return None
    thickness = _number(frame.get("SpacingBetweenSlices")) or _number(frame.get("SliceThickness")) or 1.0
    row_spacing, column_spacing = _spacing(frame)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[2] * thickness, axes[1] * row_spacing
    affine[:3, 2], affine[:3, 3] = axes[0] * column_spacing, position
    return Geometry(LPS_TO_RAS @ affine, (frame.path,))


def _number(value: Any) -> float:
    try:
        return abs(float(value))
    except (TypeError, ValueError):
        return 0.0


def _by_position(frames: list[Frame], path: Path) -> list[Frame] | None:
    """The slices of a series sorted along their normal; None for frames of one file that no position tells apart.

    Raises:
        ValueError: several files without positions, in several orientations, or with gaps and doubles.
    """
    axes = [_axes(frame) for frame in frames]
    positions = [frame.vector("ImagePositionPatient", 3) for frame in frames]
    one_file = len({frame.path for frame in frames}) == 1
    if any(a is None or p is None for a, p in zip(axes, positions, strict=True)):
        if one_file:
            return None
        raise FileError(f"{shown(path)} holds slices without position or orientation; name one file instead")
    normal = axes[0][2]  # type: ignore[index]
    if any(abs(a[2] @ normal) < 0.99 for a in axes):  # type: ignore[index]
        raise FileError(
            f"{shown(path)} holds slices of several orientations, as a localizer does; name one file instead"
        )
    along = np.array([normal @ p for p in positions])
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    if one_file and gaps.min() < MIXED:
        return None
    refuse_doubles(frames, along, path)
    typical = np.median(gaps)
    if gaps.min() < 0.5 * typical or gaps.max() > 1.5 * typical or typical < MIXED:
        raise FileError(
            f"{shown(path)}: neighbouring slices are {gaps.min():.3g} to {gaps.max():.3g} mm apart; allowed: "
            f"evenly spaced slices (typical here {typical:.3g} mm): add the missing or remove the doubled files"
        )
    return [frames[i] for i in order]


def _affine(frames: Sequence[Frame]) -> np.ndarray:
    """RAS affine of the array [columns, rows, slices] (DICOM PS3.3, C.7.6.2.1.1; DICOM's own frame is LPS)."""
    axes = _axes(frames[0])
    assert axes is not None
    row_spacing, column_spacing = _spacing(frames[0])
    start, end = (np.asarray(frame.get("ImagePositionPatient"), float) for frame in (frames[0], frames[-1]))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[0] * column_spacing, axes[1] * row_spacing
    affine[:3, 2], affine[:3, 3] = (end - start) / (len(frames) - 1), start
    return LPS_TO_RAS @ affine


def _tilt(affine: np.ndarray) -> float:
    """Degrees between the direction from slice to slice and the slices' normal."""
    columns, rows, step = affine[:3, :3].T
    normal = np.cross(columns, rows)
    cosine = abs(normal @ step) / (np.linalg.norm(normal) * np.linalg.norm(step))
    return float(np.rad2deg(np.arccos(min(cosine, 1.0))))


def _mosaic(frame: Frame) -> Volume:
    """The slices of a Siemens mosaic; where they lie, its private header says, which is not read."""
    whole = np.empty((1, frame.header.Rows, frame.header.Columns), np.float32)
    notes = _fill(whole.transpose(2, 1, 0), [frame])
    slices = tiles(whole[0], frame.header, frame.path)
    return _described(slices, [frame], _spacing(frame), None, [f"a mosaic, cut into its {len(slices)} slices", *notes])
