"""Reading medical images from files into axial slices, and their intensities into [0, 1].

Every reader returns a `Volume` laid out as a radiologist reads it: slices from inferior to superior, rows from anterior
to posterior, columns from the patient's right to left. NIfTI and DICOM say where they lie and are turned accordingly;
npy, npz and HDF5 do not and are taken as they are.
"""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from jaxtyping import Shaped
from pydicom.misc import is_dicom

from scoreinv.formats.dicom import read_dicom
from scoreinv.formats.volume import ImageError, Volume, check_size, to_axial

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
        raise ImageError(f"image file {str(path)!r} does not exist; check the path")
    return _checked(path, lambda: _read(path, key, index))


def read_series(files: Sequence[Path]) -> Volume:
    """Reads the DICOM files of one series; see `read_image`."""
    return _checked(files[0].parent, lambda: read_dicom(list(files), files[0].parent))


def _checked(path: Path, read: Callable[[], Volume]) -> Volume:
    """What `read` returns, if finite; one line about `path` for whatever goes wrong."""
    try:
        volume = read()
    except ImageError:
        raise
    except Exception as error:
        # Damage makes the parsers below raise almost anything, from zlib.error to tokenize.TokenError.
        message = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"cannot read {str(path)!r} ({message}); the file is damaged or truncated: copy it again"
        ) from error
    bad = volume.values.size - np.count_nonzero(np.isfinite(volume.values))
    if bad:
        raise ImageError(
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
        return _read_npy(path)
    if name.endswith(".npz"):
        return _read_npz(path, key)
    if name.endswith((".h5", ".hdf5")):
        return _read_hdf5(path, key)
    if is_dicom(path):
        return read_dicom([path], path)
    raise ImageError(f"{str(path)!r} is no known image file; allowed: {', '.join(SUFFIXES)} or a folder of DICOM files")


def _read_nifti(path: Path, index: int) -> Volume:
    image = cast(nibabel.spatialimages.SpatialImage, nibabel.load(path))
    if len(image.shape) not in (3, 4):
        raise ImageError(f"{str(path)!r} has shape {image.shape}; allowed: [x, y, z] or [x, y, z, volume]: reshape it")
    if len(image.shape) == 4 and not -image.shape[3] <= index < image.shape[3]:
        raise ImageError(f"{str(path)!r} has no volume {index}; allowed: 0 to {image.shape[3] - 1}: change the index")
    check_size(image.shape[:3], path)
    stored = image.dataobj[..., index] if len(image.shape) == 4 else image.dataobj
    return Volume(*to_axial(np.asarray(stored, np.float32), image.affine))


def _from_array(stored: Shaped[np.ndarray, "..."], path: Path) -> Volume:
    if stored.ndim not in (2, 3) or stored.dtype.kind not in "iuf":
        raise ImageError(
            f"{str(path)!r} holds {stored.dtype} of shape {stored.shape}; allowed: real numbers [H, W] or "
            "[slices, H, W]: take magnitudes, drop further axes"
        )
    check_size(stored.shape, path)
    return Volume(np.array(stored, np.float32).reshape(-1, *stored.shape[-2:]))


def _chosen_key(keys: list[str], key: str, path: Path) -> str:
    if key in keys:
        return key
    if not key and len(keys) == 1:
        return keys[0]
    choices = ", ".join(sorted(keys)) or "none, the file is empty"
    raise ImageError(f"key {key!r} does not name one array of {str(path)!r}; choose one of {choices}")


def _read_npy(path: Path) -> Volume:
    return _from_array(np.load(path, mmap_mode="r", allow_pickle=False), path)


def _npy_shape(file) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return header(file)[0]


def _read_npz(path: Path, key: str) -> Volume:
    with zipfile.ZipFile(path) as archive:
        name = _chosen_key([name.removesuffix(".npy") for name in archive.namelist()], key, path) + ".npy"
        with archive.open(name) as member:
            shape = _npy_shape(member)
        check_size(shape, path)
        with archive.open(name) as member:
            stored = np.lib.format.read_array(member, allow_pickle=False)
    return _from_array(stored, path)


def _read_hdf5(path: Path, key: str) -> Volume:
    try:
        import h5py
    except ImportError as error:
        raise ImageError(f"reading {str(path)!r} needs h5py; install it: pip install h5py") from error
    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        stored = file[_chosen_key(names, key, path)]
        check_size(stored.shape, path)
        return _from_array(stored[()], path)
