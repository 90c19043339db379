"""numpy's files: .npy and .npz, nothing unpickled, nothing larger than its file allows."""

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scoreinv.formats.guard import (
    Bounded,
    FileError,
    allowed_bytes,
    check_bytes,
    check_file,
    check_total,
    reading,
    shown,
)

NPY = "an .npy file written by numpy.save"
NPZ = "an .npz file written by numpy.savez"
_HEADER_BYTES = 2**16


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an .npy file, mapped from the disk and read where it is used.

    Raises:
        ValueError: missing, damaged, too large, empty, or Python objects.
    """
    path = check_file(path, NPY)
    with reading(path, NPY):
        with path.open("rb") as file:
            check_bytes(*_declared(file, path), path)
        return np.load(path, mmap_mode="r", allow_pickle=False)


class Npz(Mapping[str, np.ndarray]):
    """The arrays of an open .npz file, each read when it is asked for.

    Args:
        archive: the open file.
        path: its path.
        limit: the largest number of bytes of its arrays together.
        expected: what the file has to be, for messages.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path, limit: int, expected: str):
        self._archive, self._path, self._limit, self._expected = archive, path, limit, expected
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist() if not info.is_dir()}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __getitem__(self, name: str) -> np.ndarray:
        check_bytes(*self.declared(name), self._path, self._limit)
        with reading(self._path, self._expected), self._open(name, self._limit) as member:
            return np.lib.format.read_array(member, allow_pickle=False)

    def declared(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """(shape, type) of an array, from its header alone."""
        with reading(self._path, self._expected), self._open(name, _HEADER_BYTES) as member:
            return _declared(member, self._path)

    def read_all(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Every array, or those named, if they are not too large together."""
        names = list(self if names is None else names)
        check_total((self.declared(name) for name in names), self._path, self._limit)
        return {name: self[name] for name in names}

    def _open(self, name: str, largest: int) -> Bounded:
        info = self._members.get(name)
        if info is None:
            found = ", ".join(self) or "nothing"
            raise FileError(f"{shown(self._path)} has no array {name!r}, it holds {found}; expected {self._expected}")
        # The standard library inflates bz2 and lzma members without a bound.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise FileError(f"{shown(self._path)} is packed by another program or encrypted; expected {NPZ}")
        return Bounded(self._archive.open(info), self._path, largest, 2**63)  # type: ignore[arg-type]


@contextmanager
def open_npz(path: str | Path, limit: int | None = None, expected: str = NPZ) -> Iterator[Npz]:
    """The arrays of an .npz file by name, for as long as the context lasts.

    Args:
        path: the file.
        limit: the largest number of bytes of its arrays together; None: `guard.allowed_bytes(path)`.
        expected: what the file has to be, for messages.

    Raises:
        ValueError: missing or damaged; an array that is asked for is too large or holds Python objects.
    """
    path = check_file(path, expected)
    with reading(path, expected), zipfile.ZipFile(path) as archive:
        yield Npz(archive, path, allowed_bytes(path) if limit is None else limit, expected)


def _declared(file: io.BufferedIOBase, path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, type) that the header of an .npy file or member declares."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise FileError(f"{shown(path)} is of version {version} of numpy's format; expected {NPY} or {NPZ}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return tuple(int(side) for side in shape), dtype
