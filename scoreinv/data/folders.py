"""Folders of volumes as slices: DICOM series, NIfTI, HDF5, npy and npz files, one after the other."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float
from tqdm import tqdm

from scoreinv.data.readers import SUFFIXES, IntensityScale, read_image, read_series, to_unit_range
from scoreinv.data.volumes import Volume


@dataclass(frozen=True)
class Slice:
    """One image and where it comes from.

    Attributes:
        image: [H, W] float32 in [0, 1].
        subject: the patient.
        index: of the slice in its volume, from inferior to superior.
        modality: "CT", "MR" or "" where the file does not say.
        spacing: (row, column) pixel spacing in mm.
        scale: maps `image` back to the scanner's unit.
    """

    image: Float[np.ndarray, "H W"]
    subject: str
    index: int
    modality: str
    spacing: tuple[float, float]
    scale: IntensityScale


def subject_of(path: Path, volume: Volume, pattern: str) -> str:
    """The subject a file belongs to: the first match of `pattern` in its name, else what the file itself says."""
    match = re.search(pattern, path.name) if pattern else None
    if match:
        return match.group(match.lastindex or 0)
    return volume.subject or path.name.split(".")[0]


def volume_files(folders: Sequence[str]) -> list[list[Path]]:
    """All volumes below the folders, sorted: one file each, or the DICOM files of one folder and series.

    Raises:
        ValueError: a folder does not exist, or none holds a file.
    """
    for folder in folders:
        if not Path(folder).is_dir():
            raise ValueError(f"data folder {folder!r} does not exist; give folders of {', '.join(SUFFIXES)} files")
    files = sorted(p for folder in folders for p in Path(folder).rglob("*") if p.name.lower().endswith(SUFFIXES))
    if not files:
        where = ", ".join(map(str, folders)) or "data.folders=()"
        raise ValueError(f"no image files in {where}; expected {', '.join(SUFFIXES)}")
    volumes: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        name = _series(path) if path.suffix.lower() == ".dcm" else path.name
        volumes.setdefault((path.parent, name), []).append(path)
    return list(volumes.values())


def _series(path: Path) -> str:
    """The series of a DICOM file; its own name where the file does not say, or is none."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    except Exception:  # `read_image` says what is wrong with it
        return path.name
    return str(header.get("SeriesInstanceUID", path.name))


def read_files(files: Sequence[Path], key: str = "") -> Volume:
    """The volume of one file, or of the files of one DICOM series."""
    return read_image(files[0], key) if len(files) == 1 else read_series(files)


def folder_slices(data, wanted: Callable[[str], bool] = lambda subject: True) -> Iterator[Slice]:
    """Every slice with enough in it of every volume below `data.folders`, scaled volume by volume.

    Args:
        data: the `data` section of the configuration.
        wanted: whether the slices of a subject are wanted.

    Yields:
        The slices at the resolution of their file.

    Raises:
        ValueError: no file, or one that cannot be read.
    """
    for files in tqdm(volume_files(data.folders), desc="reading volumes", unit="volume"):
        volume = read_files(files, data.key)
        subject = subject_of(files[0], volume, data.subject_pattern)
        if wanted(subject):
            yield from scaled_slices(volume, subject, data)


def scaled_slices(volume: Volume, subject: str, data) -> Iterator[Slice]:
    """The slices of one volume in [0, 1]; those that are all but empty are left out."""
    low, high = data.window
    scaled, scale = to_unit_range(volume.values, data.intensity, low, high, tuple(data.percentiles))
    for index, image in enumerate(scaled):
        if np.mean(image > data.foreground_threshold) >= data.min_foreground:
            yield Slice(image, subject, index, volume.modality, volume.spacing, scale)
