"""HDF5: datasets by name, as stored in the file itself, nothing larger than the file allows."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from scoreinv.formats.guard import (
    DEFLATE_RATIO,
    FileError,
    allowed_bytes,
    check_bytes,
    check_file,
    check_total,
    inflate,
    reading,
    shown,
)

HDF5 = "an HDF5 file"
_DEFLATE, _SHUFFLE, _CHECKSUM, _LZF = 1, 2, 3, 32000
Selection = Any  # an index, slice or tuple of them, as h5py takes it


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[Any]:
    """An h5py.File to read from by `read_dataset`, for as long as the context lasts.

    Raises:
        ValueError: missing or damaged, h5py is not installed, or datasets that lie in other files.
    """
    path = check_file(path, HDF5)
    try:
        import h5py
    except ImportError as error:
        raise FileError(f"reading {shown(path)} needs h5py; install it: pip install h5py") from error
    with reading(path, HDF5), h5py.File(path, "r") as file:
        _refuse_other_files(file, path)
        yield file


def datasets(file: Any) -> dict[str, Any]:
    """Every dataset of an open file by its full name."""
    import h5py

    found: dict[str, Any] = {}
    file.visititems(lambda name, node: found.update({name: node}) if isinstance(node, h5py.Dataset) else None)
    return found


def read_dataset(dataset: Any, path: str | Path, index: Selection = ()) -> np.ndarray:
    """A dataset, or a part of it; MATLAB's and h5py's pairs of real and imaginary parts become complex numbers.

    Args:
        dataset: of a file that `open_hdf5` opened.
        path: the file.
        index: what to read of it.

    Raises:
        ValueError: too large, empty, or not of numbers.
    """
    with reading(path, HDF5):
        _check_numbers(dataset, path)
        check_bytes(_selected(dataset.shape, index), dataset.dtype, path)
        _check_chunks(dataset, path)
        return _as_complex(np.asarray(dataset[index]))


def read_datasets(file: Any, path: str | Path) -> dict[str, np.ndarray]:
    """Every numeric dataset of an open file, if all together are not too large."""
    numeric = {name: node for name, node in datasets(file).items() if _is_numeric(node)}
    check_total(((node.shape, node.dtype) for node in numeric.values()), path)
    return {name: read_dataset(node, path) for name, node in numeric.items() if 0 not in node.shape}


def _refuse_other_files(file: Any, path: Path) -> None:
    """Links, external storage and virtual datasets would open files that nobody named."""
    import h5py

    elsewhere = [name for name, node in datasets(file).items() if node.external or node.is_virtual]
    file.visititems_links(lambda name, link: elsewhere.append(name) if isinstance(link, h5py.ExternalLink) else None)
    if elsewhere:
        raise FileError(
            f"dataset {elsewhere[0]!r} of {shown(path)} lies in another file; allowed: one file with all its data: "
            "copy the dataset into it"
        )


def _is_numeric(dataset: Any) -> bool:
    names = dataset.dtype.names
    kinds = {dataset.dtype[name].kind for name in names} if names else {dataset.dtype.kind}
    return dataset.shape is not None and kinds <= set("biufc") and (names is None or len(names) == 2)


def _check_numbers(dataset: Any, path: str | Path) -> None:
    if not _is_numeric(dataset):
        found = f"{dataset.dtype} of shape {dataset.shape}"
        raise FileError(f"dataset {dataset.name!r} of {shown(path)} is {found}; allowed: arrays of numbers")


def _selected(shape: tuple[int, ...], index: Selection) -> tuple[int, ...]:
    """The shape of what an index reads, without reading it."""
    return np.broadcast_to(np.uint8(0), shape)[index].shape


def _as_complex(stored: np.ndarray) -> np.ndarray:
    names = stored.dtype.names
    if not names:
        return stored
    real, imaginary = (stored[name] for name in names)
    return real + np.asarray(1j, np.result_type(real.dtype, np.complex64)) * imaginary


def _check_chunks(dataset: Any, path: str | Path) -> None:
    """Refuses chunks that expand beyond their declared size: HDF5 inflates them without a bound."""
    if dataset.chunks is None:
        return
    check_bytes(dataset.chunks, dataset.dtype, path)
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    packers = [code for code in filters if code not in (_SHUFFLE, _CHECKSUM)]
    if len(packers) > 1 or not set(packers) <= {_DEFLATE, _LZF}:
        raise FileError(f"dataset {dataset.name!r} of {shown(path)} has filters {filters}; allowed: gzip, lzf, shuffle")
    if packers != [_DEFLATE]:
        return
    # A checksum may be inside of what is packed.
    size = dataset.dtype.itemsize * math.prod(dataset.chunks) + 64
    for number in range(dataset.id.get_num_chunks()):
        chunk = dataset.id.get_chunk_info(number)
        packed = not chunk.filter_mask & 1 << filters.index(_DEFLATE)
        if packed and DEFLATE_RATIO * chunk.size > allowed_bytes(path):
            inflate(dataset.id.read_direct_chunk(chunk.chunk_offset)[1], path, size)
