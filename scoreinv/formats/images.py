"""Reading medical images from files into slices, whatever the kind of file.

Every reader returns a `Volume`. NIfTI, MGH and DICOM say where they lie and are laid out as a radiologist reads them
(`volume.Layout`); arrays and pictures do not and are taken as they are.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from scoreinv.formats import dicom_files, nifti, pictures
from scoreinv.formats.dicom import read_dicom
from scoreinv.formats.dicom_files import dicom_files as find_dicom
from scoreinv.formats.dicom_files import looks_like_dicom
from scoreinv.formats.guard import DAMAGED, FileError, check_bytes, one_line, reading, shown
from scoreinv.formats.hdf5 import datasets, open_hdf5, read_dataset
from scoreinv.formats.matlab import read_matlab
from scoreinv.formats.numpy_arrays import open_npz, read_npy
from scoreinv.formats.volume import PLANES, Volume

VOLUME_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".mat", *nifti.SUFFIXES, *dicom_files.SUFFIXES)
SUFFIXES = (*VOLUME_SUFFIXES, *pictures.SUFFIXES)
AXES = ("0", "1", "2")
TINY = 16
EXPECTED = "an image: NIfTI, DICOM, MGH, npy, npz, HDF5, .mat or a gray picture"


def read_image(path: str | Path, key: str = "", slices: str = "") -> Volume:
    """Reads an image file, or a folder holding DICOM files.

    Args:
        path: NIfTI, Analyze, MGH, DICOM, npy, npz, HDF5, MATLAB or picture file; a folder of DICOM files, a DICOMDIR.
        key: the array to take from an npz, HDF5 or MATLAB file, the series of a folder (its number, UID or
            description, or attributes as "EchoTime=20"), the volume of a 4-D NIfTI file (its number from 0); empty: the
            only one there, of a 4-D file the first.
        slices: along which axis an array has its slices: "0", "1" or "2"; or how a volume in space is cut: "axial",
            "coronal" or "sagittal". Empty: as it was acquired; of an array the first axis, unless it is plain that its
            last or second is meant.

    Returns:
        The volume, finite float32 values.

    Raises:
        ValueError: missing, damaged, empty or oversized file; NaN inside of the image; not 2-D or 3-D; missing slices;
            colour; unknown key.
    """
    path = Path(path)
    if slices and slices not in (*AXES, *PLANES):
        raise FileError(f"unknown slice axis {slices!r}; choose one of {', '.join((*AXES, *PLANES))}")
    if not path.exists():
        raise FileError(f"image file {shown(path)} does not exist; check the path")
    return _checked(path, lambda: _read(path, key, slices))


def read_series(files: Sequence[Path], key: str = "", slices: str = "") -> Volume:
    """Reads the DICOM files of one series; see `read_image`."""
    folder = files[0].parent
    return _checked(folder, lambda: read_dicom(list(files), folder, key, _plane(folder, slices)))


def _checked(path: Path, read: Callable[[], Volume]) -> Volume:
    """What `read` returns, if finite but for its background; one line about `path` for whatever goes wrong."""
    with reading(path, EXPECTED):
        volume = _without_nan(path, read())
        notes, (height, width) = list(volume.notes), volume.values.shape[1:]
        row, column = volume.spacing
        if abs(row - column) > 0.01 * max(row, column):
            notes.append(f"pixels of {row:.3g} x {column:.3g} mm are not square, they are taken as they are")
        if min(height, width) < max(TINY, max(height, width) / 4):
            notes.append(f"slices of {height} x {width} pixels: is this the right axis? data.slice_axis chooses it")
        return dataclasses.replace(volume, notes=tuple(notes))


def _without_nan(path: Path, volume: Volume) -> Volume:
    """The volume with NaN around the object, as masking leaves it, made background; refuses any other."""
    bad = sum(plane.size - np.count_nonzero(np.isfinite(plane)) for plane in volume.values)
    if not bad:
        return volume
    edges = [volume.values[:, edge] for edge in (0, -1)] + [volume.values[:, :, edge] for edge in (0, -1)]
    outside = np.mean(np.isnan(np.concatenate([edge.ravel() for edge in edges])))
    infinite = any(np.isinf(plane).any() for plane in volume.values)
    if outside < 0.5 or infinite or bad == volume.values.size:
        raise FileError(
            f"{shown(path)} holds {bad} NaN or Inf values inside of the image; allowed: finite values, and NaN as "
            "background around them: repair or mask them"
        )
    lowest = min(0.0, float(np.nanmin(volume.values)))
    for plane in volume.values:
        np.nan_to_num(plane, copy=False, nan=lowest)
    return dataclasses.replace(volume, notes=(*volume.notes, f"NaN outside of the object is background ({lowest:g})"))


def _read(path: Path, key: str, slices: str) -> Volume:
    name = path.name.lower()
    if path.is_dir() or path.name == "DICOMDIR":
        folder = path if path.is_dir() else path.parent
        return read_dicom(find_dicom(folder), folder, key, _plane(path, slices))
    if name.endswith(nifti.SUFFIXES):
        return nifti.read_nifti(path, key, _plane(path, slices))
    if key and name.endswith((".npy", *pictures.SUFFIXES)):
        raise FileError(f"data.key={key!r}, but {shown(path)} holds one array without a name; leave data.key out")
    if name.endswith(".npy"):
        return _from_array(read_npy(path), path, slices)
    if name.endswith(".npz"):
        return _read_npz(path, key, slices)
    if name.endswith(".mat"):
        found = read_matlab(path)
        arrays = {name: (array.shape, array.dtype) for name, array in found.items()}
        return _from_array(found[_chosen_key(arrays, key, path)], path, slices)
    if name.endswith((".h5", ".hdf5")):
        return _read_hdf5(path, key, slices)
    if name.endswith(pictures.SUFFIXES):
        return pictures.read_picture(path)
    if looks_like_dicom(path):
        return read_dicom([path], path, key, _plane(path, slices))
    if name.endswith(dicom_files.SUFFIXES):
        raise FileError(f"{shown(path)} is no DICOM file, whatever its name; {DAMAGED}")
    raise FileError(f"{shown(path)} is no known image file; allowed: {', '.join(SUFFIXES)} or a folder of DICOM files")


def _plane(path: Path, slices: str) -> str:
    if slices in AXES:
        raise FileError(
            f"data.slice_axis={slices} is for arrays, {shown(path)} lies in space; give {', '.join(PLANES)}"
        )
    return slices


def _from_array(stored: Shaped[np.ndarray, "..."], path: Path, slices: str) -> Volume:
    if stored.dtype.kind == "c":
        raise FileError(
            f"{shown(path)} holds {stored.dtype} of shape {stored.shape}; allowed: real numbers: take magnitudes, or "
            "give k-space as --config.measurement"
        )
    if stored.ndim not in (2, 3) or stored.dtype.kind not in "iuf":
        raise FileError(
            f"{shown(path)} holds {stored.dtype} of shape {stored.shape}; allowed: real numbers [H, W] or "
            "[slices, H, W]: drop further axes"
        )
    check_bytes(stored.shape, np.float32, path)
    if stored.ndim == 2:
        return Volume(np.array(stored, np.float32)[None])
    if slices in PLANES:
        raise FileError(f"data.slice_axis={slices}, but {shown(path)} is an array; give its axis: {', '.join(AXES)}")
    axis, notes = (int(slices), ()) if slices else _slice_axis(stored, path)
    return Volume(np.ascontiguousarray(np.moveaxis(stored, axis, 0), np.float32), notes=notes)


def _slice_axis(stored: Shaped[np.ndarray, "a b c"], path: Path) -> tuple[int, tuple[str, ...]]:
    """Along which axis an array has its slices, and what is to be said about it.

    The axis that is much shorter than both others; else the one whose side differs from two equal ones; else the first.
    """
    shape, first, last = stored.shape, stored.shape[0], stored.shape[-1]
    shortest = int(np.argmin(shape))
    if shortest in (0, 2) and shape[shortest] in (3, 4) and stored.dtype == np.uint8:
        raise FileError(
            f"{shown(path)} of shape {shape} is a picture in colour, or has {shape[shortest]} slices; allowed: gray "
            f"values: take one channel, or say --config.data.slice_axis={shortest}"
        )
    thin = 4 * shape[shortest] <= min(side for axis, side in enumerate(shape) if axis != shortest)
    axis = shortest if thin else 2 if first == shape[1] != last else 1 if first == last != shape[1] else 0
    if axis == 0 and (thin or shortest == 0):
        return 0, ()
    return axis, (
        f"shape {shape} is taken to have its {shape[axis]} slices along axis {axis}; data.slice_axis says so",
    )


def _chosen_key(arrays: dict[str, tuple[tuple[int, ...], np.dtype]], key: str, path: Path) -> str:
    """The array that a key names; without one the only array, or the only one that can be an image.

    Args:
        arrays: name -> (shape, type).
        key: the name, or empty.
        path: the file that messages name.
    """
    if key in arrays:
        return key
    images = [name for name, about in arrays.items() if _may_be_image(*about)]
    candidates = list(arrays) if len(arrays) == 1 else images
    if not key and len(candidates) == 1:
        return candidates[0]
    choices = one_line(", ".join(sorted(arrays)) or "none, the file is empty", 120)
    raise FileError(f"key {key!r} does not name one array of {shown(path)}; choose data.key, one of {choices}")


def _may_be_image(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    return len(shape) in (2, 3) and min(shape) > 1 and dtype.kind in "iuf"


def _read_npz(path: Path, key: str, slices: str) -> Volume:
    with open_npz(path) as file:
        arrays = {name: file.declared(name) for name in file}
        return _from_array(file[_chosen_key(arrays, key, path)], path, slices)


def _read_hdf5(path: Path, key: str, slices: str) -> Volume:
    with open_hdf5(path) as file:
        found = datasets(file)
        arrays = {name: (node.shape or (), node.dtype) for name, node in found.items()}
        return _from_array(read_dataset(found[_chosen_key(arrays, key, path)], path), path, slices)
