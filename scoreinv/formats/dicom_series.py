"""Which of the DICOM files in a folder belong together, and which of several series is meant."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from scoreinv.formats.dicom_files import Frame
from scoreinv.formats.guard import FileError, one_line, shown

Files = list[tuple[Path, pydicom.Dataset]]
# What tells images at one position apart, the most telling first.
_TELLING = (
    "EchoTime",
    "EchoNumbers",
    "ImageType",
    "DiffusionBValue",
    "InversionTime",
    "FlipAngle",
    "TemporalPositionIdentifier",
    "AcquisitionNumber",
    "AcquisitionTime",
    "InstanceNumber",
)

SAME_SPACING = 1e-3  # relative


def choose_series(files: Files, path: Path, key: str) -> Files:
    """The files of one series.

    Args:
        files: (file, header) of every file.
        path: file or folder that messages name.
        key: number, UID or description of the series, or attributes: "EchoTime=20, AcquisitionNumber=1"; "" for the
            only series there.

    Raises:
        ValueError: no image, several series, or nothing that the key names.
    """
    images = [(file, header) for file, header in files if "Rows" in header] or files
    if len(files) == 1:
        return files
    chosen = [(file, header) for file, header in images if _matches(header, key)]
    series: dict[str, Files] = {}
    for file, header in chosen or images:
        series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    if len(series) == 1 and chosen:
        return chosen
    found = "; ".join(_described(entries) for entries in series.values())
    said = "" if chosen else f"nothing that {key!r} names but "
    number = next(iter(series.values()))[0][1].get("SeriesNumber", "<number>")
    raise FileError(
        f"{shown(path)} holds {said}{len(series)} series: {one_line(found, 110)}; choose: --config.data.key={number}"
    )


def _described(files: Files) -> str:
    header = files[0][1]
    name = header.get("SeriesDescription") or header.get("Modality", "")
    return f"{header.get('SeriesNumber', 'without number')} {str(name)!r} ({len(files)} files)"


def _matches(header: pydicom.Dataset, key: str) -> bool:
    if "=" in key:
        pairs = (part.split("=", 1) for part in key.split(","))
        return all(_equal(header.get(name.strip()), value.strip()) for name, value in pairs)
    names = ("SeriesNumber", "SeriesInstanceUID", "SeriesDescription")
    return not key or key in [str(header.get(name, "")) for name in names]


def _equal(value: Any, text: str) -> bool:
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return str(value) == text


def check_one_size(frames: Sequence[Frame], path: Path) -> None:
    """Refuses images of several sizes."""
    sizes = {(int(frame.header.Rows), int(frame.header.Columns)) for frame in frames}
    if len(sizes) > 1:
        raise FileError(
            f"{shown(path)} mixes image sizes {sorted(sizes)}; allowed: one series of one size per folder: move the "
            "others out or name one file"
        )


def check_one_spacing(spacings: Sequence[tuple[float, float]], path: Path) -> None:
    """Refuses images of several pixel spacings, by more than what a scanner's rounding makes.

    Args:
        spacings: (row, column) spacing of each image in mm.
        path: file or folder that messages name.
    """
    found = np.array(spacings)
    if np.any(np.ptp(found, 0) > SAME_SPACING * found.max(0)):
        several = sorted({f"{row:.4g} x {column:.4g}" for row, column in spacings})
        raise FileError(
            f"{shown(path)} mixes pixel spacings of {one_line(', '.join(several), 80)} mm; allowed: one series of one "
            "spacing per folder: move the others out or name one file"
        )


def refuse_doubles(frames: Sequence[Frame], along: np.ndarray, path: Path) -> None:
    """Refuses several images at each position, and says what tells them apart.

    Args:
        frames: the images.
        along: the position of each along the normal, mm.
        path: file or folder that messages name.
    """
    places = len(np.unique(np.round(along, 2)))
    if places == len(frames) or len(frames) % places:
        return
    for name in _TELLING:
        values = sorted({str(frame.get(name)) for frame in frames})
        if len(values) == len(frames) // places:
            raise FileError(
                f"{shown(path)} holds {len(values)} images at each of {places} positions, {name} "
                f"{one_line(', '.join(values), 60)}; choose one: --config.data.key={name}={values[0]}"
            )
