"""TIFF: a sinogram in one image, or a projection in each file of a folder."""

from pathlib import Path
from typing import Any

import numpy as np

from scoreinv.formats.guard import (
    DEFLATE_RATIO,
    MAX_BYTES,
    FileError,
    allowed_bytes,
    check_bytes,
    check_file,
    inflate,
    reading,
    shown,
)

TIFF = "a TIFF file of one gray image or a stack of them"
ENDINGS = (".tif", ".tiff")
DEFLATED, LZW, PACKBITS = (8, 32946), 5, 32773


def read_tiff(path: str | Path) -> np.ndarray:
    """The values of a TIFF file, [rows, columns] or [images, rows, columns].

    Raises:
        ValueError: missing or damaged, larger than its size on disk allows, or of colours.
    """
    path = check_file(path, TIFF)
    import tifffile

    with reading(path, TIFF), tifffile.TiffFile(path) as file:
        series = file.series[0]
        check_bytes(series.shape, series.dtype, path)
        if series.dtype.kind not in "uif" or "S" in series.axes or series.ndim not in (2, 3):
            raise FileError(f"{shown(path)} holds {series.dtype} of shape {series.shape}; allowed: {TIFF}")
        for page in series.pages:
            _check_segments(file, page, path)
        return np.asarray(series.asarray())


def _check_segments(file: Any, page: Any, path: Path) -> None:
    """Refuses strips and tiles that expand beyond their image: tifffile inflates them without a bound."""
    if page is None or page.compression not in (*DEFLATED, 1, LZW, PACKBITS):
        raise FileError(f"{shown(path)} has pages in a compression that is not read; allowed: none, deflate, LZW")
    for place, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        if page.compression in DEFLATED and DEFLATE_RATIO * size > allowed_bytes(path):
            file.filehandle.seek(place)
            inflate(file.filehandle.read(size), path, page.nbytes)


def read_stack(files: list[Path], path: str | Path) -> np.ndarray:
    """The projections [views, rows, columns] of a folder's files, in the order of their names.

    Raises:
        ValueError: see `read_tiff`; files of several sizes.
    """
    images = [read_tiff(file) for file in files]
    shapes = {image.shape for image in images}
    if len(shapes) > 1 or images[0].ndim != 2:
        raise FileError(f"{shown(path)} holds TIFF files of shapes {sorted(shapes)}; allowed: one image of one size")
    check_bytes((len(images), *images[0].shape), images[0].dtype, path, MAX_BYTES)
    return np.stack(images)
