"""Files of named arrays: what scanner data comes in when no vendor's format holds it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from scoreinv.formats.bart import read_cfl
from scoreinv.formats.dicom_ct_pd import is_projection, read_projections
from scoreinv.formats.guard import FileError, check_file, one_line, shown
from scoreinv.formats.hdf5 import open_hdf5, read_datasets
from scoreinv.formats.matlab import read_matlab
from scoreinv.formats.numpy_arrays import open_npz, read_npy
from scoreinv.formats.tiff import ENDINGS, read_stack, read_tiff

Arrays = dict[str, np.ndarray]


def _npz(path: Path) -> Arrays:
    with open_npz(path) as file:
        return file.read_all()


def _npy(path: Path) -> Arrays:
    return _one(np.array(read_npy(path)))


def _hdf5(path: Path) -> Arrays:
    with open_hdf5(path) as file:
        return read_datasets(file, path)


def _cfl(path: Path) -> Arrays:
    return _one(read_cfl(path))


def _tiff(path: Path) -> Arrays:
    return _one(read_tiff(path))


def _folder(path: Path) -> Arrays:
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    images = [file for file in files if file.suffix.lower() in ENDINGS]
    if images:
        return {"sinogram": read_stack(images, path)}
    projections = [file for file in files if is_projection(file)]
    if not projections:
        raise FileError(f"folder {shown(path)} holds no measurement; allowed: DICOM-CT-PD projections or TIFF images")
    return read_projections(projections, path)


def _one(array: np.ndarray) -> Arrays:
    """An array without a name is called by what it is: complex numbers, or pairs, are k-space, real ones a sinogram."""
    pairs = array.dtype.kind == "f" and array.ndim > 2 and array.shape[-1] == 2
    return {"kspace" if array.dtype.kind == "c" or pairs else "sinogram": array}


# Ending of the file's name -> its reader.
READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".mat": read_matlab,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".cfl": _cfl,
    ".hdr": _cfl,
    ".tif": _tiff,
    ".tiff": _tiff,
}


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file by name: .npz, MATLAB .mat, HDF5; .npy, BART's .cfl and TIFF, which hold one.

    A folder holds the views of a CT scan, one a file: DICOM-CT-PD or TIFF.

    Args:
        path: the file or folder.

    Returns:
        Name -> array, as stored; MATLAB's in MATLAB's order of axes, BART's with coils before the image's axes.

    Raises:
        ValueError: missing, unreadable or oversized file, or another kind of file.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    choices = ", ".join(READERS)
    read = READERS.get(path.suffix.lower())
    if read is None and path.is_file():
        raise FileError(f"{shown(path)} is no file of measured arrays; allowed: {choices}")
    check_file(path, f"a measurement: {choices}")
    assert read is not None
    return read(path)


def listed(names: tuple[str, ...], most: int = 6) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return one_line(", ".join(names[:most]), 120) + more
