"""The paper's datasets in the folder layouts their owners distribute."""

import dataclasses
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from scoreinv.datasets.folders import LazyVolume, check_folders, dicom_tag, read_files
from scoreinv.formats.images import read_image
from scoreinv.formats.volume import Volume

CONTRASTS = ("flair", "t1", "t1ce", "t2")
LIDC_SLICES = 160


def _subject_folders(folders: Sequence[str], pattern: str, example: str) -> list[Path]:
    """The subjects' folders among `folders` and up to two levels below them."""
    check_folders(folders)
    levels = ([root, *root.glob("*"), *root.glob("*/*")] for root in map(Path, folders))
    found = sorted(path for level in levels for path in level if re.fullmatch(pattern, path.name) and path.is_dir())
    if not found:
        raise ValueError(f"no folder {example} below {', '.join(folders)}; unpack the dataset as it is distributed")
    return found


def brats_volumes(folders: Sequence[str]) -> list[LazyVolume]:
    """BraTS 2021 (Baid et al. 2021): BraTS2021_XXXXX/BraTS2021_XXXXX_{flair,t1,t1ce,t2}.nii.gz, 240 x 240.

    The slices of every contrast that the paper took: z_min + 40 to z_max - 25, where z_min and z_max are the lowest and
    highest slice with a brain in it.

    Args:
        folders: folders that hold the subjects' folders, up to two levels deep.

    Returns:
        The volumes, four a subject.

    Raises:
        ValueError: no such folder.
    """
    return [
        LazyVolume(folder.name, partial(_read_contrast, folder, contrast), _brain_slices)
        for folder in _subject_folders(folders, r"BraTS2021_\d+", "BraTS2021_XXXXX")
        for contrast in CONTRASTS
    ]


def _read_contrast(folder: Path, contrast: str) -> Volume:
    volume = read_image(folder / f"{folder.name}_{contrast}.nii.gz")
    return dataclasses.replace(volume, modality=f"MR {contrast}")


def _brain_slices(volume: Volume) -> range:
    occupied = np.flatnonzero(volume.values.any((1, 2)))
    return range(int(occupied[0]) + 40, int(occupied[-1]) - 25 + 1)


def _series_folders(subject: Path) -> list[list[Path]]:
    """The DICOM files of every folder below a subject's, in the order of the folders' names."""
    files: dict[Path, list[Path]] = {}
    for path in sorted(subject.rglob("*.dcm")):
        files.setdefault(path.parent, []).append(path)
    return list(files.values())


def lidc_volumes(folders: Sequence[str]) -> list[LazyVolume]:
    """LIDC-IDRI (Armato et al. 2011): LIDC-IDRI/LIDC-IDRI-XXXX/<study>/<series>/*.dcm, CT series only.

    The 160 middle axial slices of every volume, all of them where there are fewer; the paper took 160 a volume and does
    not say which.

    Args:
        folders: folders that hold the subjects' folders, up to two levels deep.

    Returns:
        The volumes.

    Raises:
        ValueError: no such folder.
    """
    return [
        LazyVolume(subject.name, partial(read_files, files), _middle_slices)
        for subject in _subject_folders(folders, r"LIDC-IDRI-\d+", "LIDC-IDRI-XXXX")
        for files in _series_folders(subject)
        if dicom_tag(files[0], "Modality") in ("CT", "")  # some subjects have radiographs as well; "": damaged
    ]


def _middle_slices(volume: Volume) -> range:
    count = len(volume.values)
    start = max(0, (count - LIDC_SLICES) // 2)
    return range(start, min(count, start + LIDC_SLICES))


def ldct_volumes(folders: Sequence[str]) -> list[LazyVolume]:
    """LDCT-and-Projection-data (Moen et al. 2021): {C,L,N}XXX/<study>/<series>/*.dcm, the full-dose images.

    Args:
        folders: folders that hold the subjects' folders, up to two levels deep.

    Returns:
        The volumes, all their slices.

    Raises:
        ValueError: no such folder, or no series of full-dose images in any.
    """
    subjects = _subject_folders(folders, r"[CLN]\d{3}", "C001, L001, N001, ...")
    volumes = [
        LazyVolume(subject.name, partial(read_files, files), lambda volume: range(len(volume.values)))
        for subject in subjects
        for files in _series_folders(subject)
        if _is_full_dose(files[0])
    ]
    if not volumes:
        raise ValueError(f"no series 'Full Dose Images' below {', '.join(folders)}; download the image series too")
    return volumes


def _is_full_dose(file: Path) -> bool:
    names = (file.parent.name, dicom_tag(file, "SeriesDescription"))
    return any(re.search(r"full[ _-]?dose[ _-]?images", name, re.IGNORECASE) for name in names)
