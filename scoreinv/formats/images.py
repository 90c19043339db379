"""Reading medical images from files into axial slices, and their intensities into [0, 1].

Every reader returns a `Volume` laid out as a radiologist reads it: slices from inferior to superior, rows from anterior
to posterior, columns from the patient's right to left. NIfTI and DICOM say where they lie and are turned accordingly;
npy, npz and HDF5 do not and are taken as they are.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from jaxtyping import Shaped
from pydicom.misc import is_dicom

from scoreinv.formats.dicom import read_dicom
from scoreinv.formats.guard import FileError, check_bytes, reading
from scoreinv.formats.hdf5 import datasets, open_hdf5, read_dataset
from scoreinv.formats.numpy_arrays import open_npz, read_npy
from scoreinv.formats.volume import Volume, to_axial

SUFFIXES = (".nii", ".nii.gz", ".dcm", ".npy", ".npz", ".h5", ".hdf5")


def read_image(path: str | Path, key: str = "", index: int = 0) -> Volume:
    """Reads a scan: NIfTI, DICOM (a file, or a folder holding one series), npy, npz or HDF5.

    A NIfTI file does not tell its modality: its values come as stored, those of padding outside a CT scanner's field of
    view (-2000, -3024) included.

    Args:
        path: .nii, .nii.gz, .dcm, .npy, .npz, .h5 or .hdf5 file, or a folder of DICOM files.
        key: the array to take from an npz or HDF5 file; empty: the only one there.
        index: the volume to take from a 4-D NIfTI file.

    Returns:
        The volume, finite float32 values.

    Raises:
        ValueError: missing, damaged, empty or oversized file; NaN; not 2-D or 3-D; missing slices; unknown key.
    """
    path = Path(path)
    if not path.exists():
        raise FileError(f"image file {str(path)!r} does not exist; check the path")
    return _checked(path, lambda: _read(path, key, index))


def read_series(files: Sequence[Path]) -> Volume:
    """Reads the DICOM files of one series; see `read_image`."""
    return _checked(files[0].parent, lambda: read_dicom(list(files), files[0].parent))


def _checked(path: Path, read: Callable[[], Volume]) -> Volume:
    """What `read` returns, if finite; one line about `path` for whatever goes wrong."""
    with reading(path, "an image file"):
        volume = read()
    bad = volume.values.size - np.count_nonzero(np.isfinite(volume.values))
    if bad:
        raise FileError(
            f"{str(path)!r} holds {bad} NaN or Inf values; only finite images are allowed: repair or mask them"
        )
    return volume


def _read(path: Path, key: str, index: int) -> Volume:
    if path.is_dir():
        return read_dicom(sorted(p for p in path.iterdir() if p.is_file() and is_dicom(p)), path)
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _read_nifti(path, index)
    if name.endswith(".npy"):
        return _from_array(read_npy(path), path)
    if name.endswith(".npz"):
        return _read_npz(path, key)
    if name.endswith((".h5", ".hdf5")):
        return _read_hdf5(path, key)
    if is_dicom(path):
        return read_dicom([path], path)
    raise FileError(f"{str(path)!r} is no known image file; allowed: {', '.join(SUFFIXES)} or a folder of DICOM files")


def _read_nifti(path: Path, index: int) -> Volume:
    image = cast(nibabel.spatialimages.SpatialImage, nibabel.load(path))
    if len(image.shape) not in (3, 4):
        raise FileError(f"{str(path)!r} has shape {image.shape}; allowed: [x, y, z] or [x, y, z, volume]: reshape it")
    if len(image.shape) == 4 and not -image.shape[3] <= index < image.shape[3]:
        raise FileError(f"{str(path)!r} has no volume {index}; allowed: 0 to {image.shape[3] - 1}: change the index")
    check_bytes(image.shape[:3], np.float32, path)
    stored = image.dataobj[..., index] if len(image.shape) == 4 else image.dataobj
    return Volume(*to_axial(np.asarray(stored, np.float32), image.affine))


def _from_array(stored: Shaped[np.ndarray, "..."], path: Path) -> Volume:
    if stored.ndim not in (2, 3) or stored.dtype.kind not in "iuf":
        raise FileError(
            f"{str(path)!r} holds {stored.dtype} of shape {stored.shape}; allowed: real numbers [H, W] or "
            "[slices, H, W]: take magnitudes, drop further axes"
        )
    check_bytes(stored.shape, np.float32, path)
    return Volume(np.array(stored, np.float32).reshape(-1, *stored.shape[-2:]))


def _chosen_key(keys: list[str], key: str, path: Path) -> str:
    if key in keys:
        return key
    if not key and len(keys) == 1:
        return keys[0]
    choices = ", ".join(sorted(keys)) or "none, the file is empty"
    raise FileError(f"key {key!r} does not name one array of {str(path)!r}; choose one of {choices}")


def _read_npz(path: Path, key: str) -> Volume:
    with open_npz(path) as file:
        return _from_array(file[_chosen_key(list(file), key, path)], path)


def _read_hdf5(path: Path, key: str) -> Volume:
    with open_hdf5(path) as file:
        found = datasets(file)
        return _from_array(read_dataset(found[_chosen_key(list(found), key, path)], path), path)
