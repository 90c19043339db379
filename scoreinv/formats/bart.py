"""BART's pairs of files: <name>.hdr says the dimensions, <name>.cfl holds complex64 numbers, first axis fastest."""

from pathlib import Path

import numpy as np

from scoreinv.formats.guard import FileError, check_bytes, check_file, read_text, reading, shown

CFL = "BART's pair of .cfl and .hdr files"


def read_cfl(path: str | Path) -> np.ndarray:
    """The array of a pair of files: [..., slices, coils, H, W]; BART's axes are three of space, coils, further ones.

    The axes of the image are the two of space that are longer than one (of a 3-D array the first two, and its third are
    the slices). Leading axes of length one are left out.

    Args:
        path: either file of the pair.

    Raises:
        ValueError: a file is missing, or they do not fit each other.
    """
    header, data = (check_file(Path(path).with_suffix(suffix), CFL) for suffix in (".hdr", ".cfl"))
    lines = read_text(header, CFL).splitlines()
    with reading(header, CFL):
        shape = tuple(int(side) for side in lines[lines.index("# Dimensions") + 1].split())
        shape += (1,) * (4 - len(shape))
        check_bytes(shape, np.complex64, data)
        if data.stat().st_size != np.prod(shape, dtype=object) * 8:
            raise FileError(
                f"{shown(data)} has {data.stat().st_size} bytes; {shown(header)} declares {shape} complex64"
            )
        stored = np.fromfile(data, np.dtype("<c8")).reshape(shape, order="F")
        slices = next((axis for axis in (2, 0, 1) if shape[axis] == 1), 2)
        image = (axis for axis in range(3) if axis != slices)
        array = stored.transpose(*range(len(shape) - 1, 3, -1), slices, 3, *image)
        while array.ndim > 2 and array.shape[0] == 1:
            array = array[0]
        return np.ascontiguousarray(array)
