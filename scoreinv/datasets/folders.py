"""Folders of volumes that are read when they are needed: DICOM series, NIfTI, HDF5, npy and npz files."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scoreinv.formats.dicom_files import SUFFIXES as DICOM_SUFFIXES
from scoreinv.formats.dicom_files import looks_like_dicom, read_header
from scoreinv.formats.images import VOLUME_SUFFIXES, read_image, read_series
from scoreinv.formats.volume import Volume


@dataclass(frozen=True)
class LazyVolume:
    """A volume that has not been read yet; its subject is known before, so that splits cost no reading.

    Attributes:
        subject: the patient.
        read: reads the volume.
        chosen: which slices of the volume to take; None: those that are not all but empty.
    """

    subject: str
    read: Callable[[], Volume]
    chosen: Callable[[Volume], Sequence[int]] | None = None


def group_files(folders: Sequence[str]) -> list[list[Path]]:
    """The files of every volume below the folders, sorted: one file each, or the DICOM files of one folder and series.

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


def folder_volumes(
    folders: Sequence[str], subject_pattern: str = "", key: str = "", slices: str = ""
) -> list[LazyVolume]:
    """Every volume below some folders.

    Args:
        folders: folders of NIfTI, DICOM, HDF5, npy or npz files, at any depth.
        subject_pattern: regular expression whose match in a file's name is the subject; empty: see `subject_of`.
        key: the array to take from HDF5 and npz files; empty: the only one there.
        slices: the axis of slices, see `read_image`.

    Returns:
        The volumes, sorted by path.

    Raises:
        ValueError: no folder, or no file in it.
    """
    try:
        re.compile(subject_pattern)
    except re.error as error:
        raise ValueError(f"data.subject_pattern={subject_pattern!r} is no regular expression: {error}") from error
    return [
        LazyVolume(subject_of(files[0], subject_pattern), partial(read_files, files, key, slices))
        for files in group_files(folders)
    ]
