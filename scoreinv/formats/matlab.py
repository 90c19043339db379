"""MATLAB's .mat files, versions 4 to 7.3, as arrays by name.

Version 5 (to 7.2) is read here by its published layout: scipy's reader inflates without a bound and crashes on damage.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scoreinv.formats.guard import DAMAGED, FileError, allowed_bytes, check_file, check_total, inflate, reading, shown
from scoreinv.formats.hdf5 import open_hdf5, read_datasets

MAT = "a MATLAB .mat file"
DEEPEST = 3  # structures within structures
_HEADER, _MATRIX, _COMPRESSED, _COMPLEX, _STRUCTURE = 128, 14, 15, 0x800, 2
# Types of stored numbers, and the classes of arrays of numbers.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
Arrays = dict[str, np.ndarray]


def read_matlab(path: str | Path) -> Arrays:
    """The numeric arrays of a .mat file, in MATLAB's order of axes; those of a structure `s` are called `s/field`,
    those of a structure inside `s/inner/field`.

    Args:
        path: the file.

    Raises:
        ValueError: missing, damaged or too large.
    """
    path = check_file(path, MAT)
    with reading(path, MAT), path.open("rb") as file:
        start = file.read(_HEADER)
    if start.startswith((b"\x89HDF", b"MATLAB 7.3")):
        with open_hdf5(path) as file:
            # HDF5 lists the axes of MATLAB's column-major arrays backwards.
            return {name: array.T for name, array in read_datasets(file, path).items() if not name.startswith("#")}
    with reading(path, MAT):
        check_total([((path.stat().st_size,), "u1")], path)
        return _version_5(path) if start.startswith(b"MATLAB 5") else _version_4(path)


def _version_4(path: Path) -> Arrays:
    import scipy.io

    check_total(((shape, "c16") for _, shape, kind in scipy.io.whosmat(path) if kind != "char"), path)
    found = scipy.io.loadmat(path)
    return {k: v for k, v in found.items() if isinstance(v, np.ndarray) and v.dtype.kind in "biufc"}


def _version_5(path: Path) -> Arrays:
    data = path.read_bytes()
    order = "<" if data[126:128] == b"IM" else ">"
    left, arrays = allowed_bytes(path), Arrays()
    for kind, element in _elements(data[_HEADER:], order, path):
        if kind == _COMPRESSED:
            content = inflate(element, path, left)
            left -= len(content)
            kind, element = next(_elements(content, order, path))
        if kind == _MATRIX:
            arrays |= _matrix(element, order, path)
            check_total(((array.shape, array.dtype) for array in arrays.values()), path)
    return arrays


def _elements(data: bytes, order: str, path: Path) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the data elements in a file, or inside of an array."""
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


def _matrix(content: bytes, order: str, path: Path, name: str = "") -> Arrays:
    """The arrays of one variable: itself, or the fields of a structure; none for texts, cells and objects."""
    parts = list(_elements(content, order, path))
    if len(parts) < 4:
        return {}
    flags = struct.unpack(f"{order}I", parts[0][1][:4])[0]
    shape = struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1])
    name = name or parts[2][1].decode("ascii")
    if flags & 0xFF == _STRUCTURE and shape == (1, 1) and name.count("/") < DEEPEST:
        length = struct.unpack(f"{order}i", parts[3][1])[0]
        names = [parts[4][1][i : i + length] for i in range(0, len(parts[4][1]), max(length, 1))]
        fields = [f"{name}/{field.rstrip(bytes(1)).decode('ascii')}" for field in names]
        inner = [_matrix(part, order, path, field) for field, (_, part) in zip(fields, parts[5:], strict=True)]
        return {key: array for arrays in inner for key, array in arrays.items()}
    if flags & 0xFF not in _CLASSES:
        return {}
    kind = np.dtype(_CLASSES[flags & 0xFF])
    real = _numbers(parts[3], order).astype(kind)
    if flags & _COMPLEX:
        real = real + np.asarray(1j, np.result_type(kind, np.complex64)) * _numbers(parts[4], order).astype(kind)
    return {name: real.reshape(shape, order="F")}


def _numbers(part: tuple[int, bytes], order: str) -> np.ndarray:
    """Numbers in the type that they are stored in, often smaller than their array's."""
    kind, content = part
    return np.frombuffer(content, np.dtype(order + _STORED[kind]))
