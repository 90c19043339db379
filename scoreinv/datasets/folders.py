"""Folders of volumes as scans, and scans as slices: DICOM series, NIfTI, HDF5, npy and npz files."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import Float

from scoreinv.formats.dicom_files import SUFFIXES as DICOM_SUFFIXES
from scoreinv.formats.dicom_files import looks_like_dicom, read_header
from scoreinv.formats.guard import FileError
from scoreinv.formats.images import VOLUME_SUFFIXES, read_image, read_series
from scoreinv.formats.volume import Volume
from scoreinv.scans.intensity import IntensityScale, doubts, to_unit_range


@dataclass(frozen=True)
class Slice:
    """One image and where it comes from.

    Attributes:
        image: [H, W] float32 in [0, 1].
        subject: the patient.
        index: of the slice in its volume, from inferior to superior.
        modality: "CT", "MR", "MR flair", ...; "" where the file does not say.
        spacing: (row, column) pixel spacing in mm.
        scale: maps `image` back to the scanner's unit.
    """

    image: Float[np.ndarray, "H W"]
    subject: str
    index: int
    modality: str
    spacing: tuple[float, float]
    scale: IntensityScale


@dataclass(frozen=True)
class Scan:
    """A volume that has not been read yet; its subject is known before, so that splits cost no reading.

    Attributes:
        subject: the patient.
        read: reads the volume.
        chosen: which slices of the volume to take; None: those that are not all but empty.
    """

    subject: str
    read: Callable[[], Volume]
    chosen: Callable[[Volume], Sequence[int]] | None = None


def volume_files(folders: Sequence[str]) -> list[list[Path]]:
    """All volumes below the folders, sorted: one file each, or the DICOM files of one folder and series.

    Raises:
        ValueError: a folder does not exist, or none holds a file.
    """
    check_folders(folders)
    files = sorted(path for folder in folders for path in Path(folder).rglob("*") if _is_volume(path))
    if not files:
        raise ValueError(f"no image files in {', '.join(folders)}; expected {', '.join(VOLUME_SUFFIXES)}")
    volumes: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        name = dicom_tag(path, "SeriesInstanceUID") if _is_dicom(path) else ""
        volumes.setdefault((path.parent, name or path.name), []).append(path)
    return list(volumes.values())


def _is_volume(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith((".img", ".img.gz")):  # its header stands for both files of the pair
        return False
    return name.endswith(VOLUME_SUFFIXES) or (not path.suffix and path.is_file() and looks_like_dicom(path))


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() in (*DICOM_SUFFIXES, "")


def check_folders(folders: Sequence[str]) -> None:
    """Refuses no folder at all and folders that do not exist."""
    if not folders:
        raise ValueError("data.folders=() names no folder; give some: --config.data.folders=\"('volumes',)\"")
    for folder in folders:
        if not Path(folder).is_dir():
            raise ValueError(f"data folder {folder!r} does not exist; give folders of {', '.join(VOLUME_SUFFIXES)}")


def dicom_tag(path: Path, name: str) -> str:
    """One attribute of a DICOM file without its pixels; "" where it is missing or the file damaged."""
    try:
        return str(read_header(path, [name]).get(name, ""))
    except Exception:  # what is wrong with a file, `read_image` says
        return ""


def subject_of(path: Path, pattern: str) -> str:
    """The subject a file belongs to: the first match of `pattern` in its name, else its PatientID, else its name."""
    match = re.search(pattern, path.name) if pattern else None
    if match:
        return match.group(match.lastindex or 0)
    patient = dicom_tag(path, "PatientID") if _is_dicom(path) else ""
    return patient or path.name.split(".")[0]


def read_files(files: Sequence[Path], key: str = "", slices: str = "") -> Volume:
    """The volume of one file, or of the files of one DICOM series; see `read_image`."""
    return read_image(files[0], key, slices=slices) if len(files) == 1 else read_series(files, slices=slices)


def folder_scans(data) -> list[Scan]:
    """Every volume below `data.folders`.

    Args:
        data: the `data` section of the configuration: folders, subject_pattern, key, slice_axis.

    Returns:
        The scans, sorted by path.

    Raises:
        ValueError: no folder, or no file in it.
    """
    return [
        Scan(subject_of(files[0], data.subject_pattern), partial(read_files, files, data.key, data.slice_axis))
        for files in volume_files(data.folders)
    ]


def scan_slices(scan: Scan, data) -> Iterator[Slice]:
    """Reads a scan and scales it to [0, 1] as one volume.

    Args:
        scan: the scan.
        data: the `data` section of the configuration: intensity, window, percentiles, and what counts as empty.

    Yields:
        Its slices, at the resolution of the file.
    """
    volume = scan.read()
    low, high = data.window
    for note in (*volume.notes, *doubts(volume.values, data.intensity, low, high)):
        _say_once(note, scan.subject)
    try:
        scaled, scale = to_unit_range(volume.values, data.intensity, low, high, tuple(data.percentiles))
    except ValueError as error:
        raise FileError(f"subject {scan.subject!r}: {error}") from error
    for index in scan.chosen(volume) if scan.chosen else range(len(scaled)):
        if scan.chosen or np.mean(scaled[index] > data.foreground_threshold) >= data.min_foreground:
            yield Slice(scaled[index], scan.subject, index, volume.modality, volume.spacing, scale)


_SAID: set[str] = set()


def _say_once(note: str, subject: str) -> None:
    """Logs what is said about a volume, for the first volume that it is said about."""
    if note not in _SAID:
        _SAID.add(note)
        logging.warning("subject %s and perhaps others: %s", subject, note)
