"""MATLAB's .mat files, versions 4 to 7.3, as arrays by name."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scoreinv.formats.guard import DAMAGED, FileError, allowed_bytes, check_file, check_total, inflate, reading, shown
from scoreinv.formats.hdf5 import open_hdf5, read_datasets

MAT = "a MATLAB .mat file"
DEEPEST = 3  # structures within structures
_HEADER, _MATRIX, _COMPRESSED, _COMPLEX = 128, 14, 15, 0x800
_SIZES = {4: 4, 5: 0, 7: 4, 8: 1, 9: 1, 10: 2, 11: 2, 12: 4, 13: 4}  # bytes of a number by MATLAB's class; others 8


def read_matlab(path: str | Path) -> dict[str, np.ndarray]:
    """The numeric arrays of a .mat file, in MATLAB's order of axes; those of a structure `s` are called `s/field`,
    those of a structure inside `s/inner/field`.

    Args:
        path: the file.

    Raises:
        ValueError: missing, damaged or too large.
    """
    path = check_file(path, MAT)
    with path.open("rb") as file:
        start = file.read(_HEADER)
    if start.startswith(b"\x89HDF") or start.startswith(b"MATLAB 7.3"):
        with open_hdf5(path) as file:
            # HDF5 lists the axes of MATLAB's column-major arrays backwards.
            return {name: array.T for name, array in read_datasets(file, path).items() if not name.startswith("#")}
    import scipy.io

    with reading(path, MAT):
        content = _unpacked(path, start) if start.startswith(b"MATLAB 5") else _whole(path)
        return _numeric(scipy.io.loadmat(io.BytesIO(content)))


def _whole(path: Path) -> bytes:
    check_total([((path.stat().st_size,), "u1")], path)
    return path.read_bytes()


def _unpacked(path: Path, start: bytes) -> bytes:
    """A version 5 file with its compressed elements inflated and its arrays' sizes checked, all that scipy does not."""
    data, order = _whole(path), "<" if start[126:128] == b"IM" else ">"
    parts, left = [data[:_HEADER]], allowed_bytes(path)
    declared: list[tuple[tuple[int, ...], str]] = []
    for kind, element in _elements(data[_HEADER:], order, path):
        if kind == _COMPRESSED:
            element = inflate(element, path, left)
            left -= len(element)
        else:
            element = struct.pack(f"{order}2I", kind, len(element)) + element
        for inner, content in _elements(element, order, path):
            if inner == _MATRIX:
                declared += _arrays(content, order, path)
        parts.append(element)
    check_total(declared, path)
    return b"".join(parts)


def _elements(data: bytes, order: str, path: Path) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the data elements in a version 5 file, or inside of an array."""
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack(f"{order}2I", data[place : place + 8])
        start = place + 8
        # Compressed elements are not padded to eight bytes, all others are.
        following = start + size if kind == _COMPRESSED else start + -(-size // 8) * 8
        if kind >> 16:  # up to four bytes in the tag itself
            kind, size, start, following = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        if start + size > len(data):
            raise FileError(f"{shown(path)} ends before the array that it declares; {DAMAGED}")
        yield kind, data[start : start + size]
        place = following


def _arrays(matrix: bytes, order: str, path: Path) -> Iterator[tuple[tuple[int, ...], str]]:
    """(shape, type) of an array, and of all inside of it where it is a structure or a cell array."""
    elements = list(_elements(matrix, order, path))
    if len(elements) > 1:
        flags, sides = struct.unpack(f"{order}I", elements[0][1][:4])[0], elements[1][1]
        shape = struct.unpack(f"{order}{len(sides) // 4}I", sides[: len(sides) // 4 * 4])
        yield shape, f"V{_SIZES.get(flags & 0xFF, 8) * (2 if flags & _COMPLEX else 1)}"
    for kind, content in elements:
        if kind == _MATRIX:
            yield from _arrays(content, order, path)


def _numeric(found: dict, prefix: str = "") -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name, value in found.items():
        if not isinstance(value, np.ndarray) or name.startswith("__"):
            continue
        if value.dtype.names and value.size == 1 and prefix.count("/") < DEEPEST:
            fields = value.reshape(-1)[0]
            arrays |= _numeric({field: fields[field] for field in value.dtype.names}, f"{prefix}{name}/")
        elif value.dtype.kind in "biufc":
            arrays[prefix + name] = value
    return arrays
