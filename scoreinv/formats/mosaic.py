"""Siemens mosaics: the slices of a volume as tiles of one image."""

from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float

from scoreinv.formats.guard import FileError, shown

_COUNT = (0x0019, 0x100A)  # NumberOfImagesInMosaic, private to Siemens


def is_mosaic(header: pydicom.Dataset) -> bool:
    """Whether ImageType says so."""
    return "MOSAIC" in [str(kind).upper() for kind in np.atleast_1d(header.get("ImageType", ""))]


def tiles(image: Float[np.ndarray, "H W"], header: pydicom.Dataset, path: Path) -> Float[np.ndarray, "slices h w"]:
    """The slices of a mosaic, row by row.

    Args:
        image: the whole.
        header: its DICOM header.
        path: the file that messages name.

    Raises:
        ValueError: the header does not tell the size of a tile.
    """
    count = _declared_count(header)
    across, down = _grid(image.shape, header, count)
    if not across or not down or image.shape[0] % down or image.shape[1] % across:
        raise FileError(
            f"{shown(path)} is a mosaic whose header does not tell the size of its tiles; allowed: mosaics with "
            "AcquisitionMatrix or the number of images: convert it to NIfTI with dcm2niix"
        )
    height, width = image.shape[0] // down, image.shape[1] // across
    cut = image.reshape(down, height, across, width).swapaxes(1, 2).reshape(-1, height, width)
    last = count or 1 + max(np.flatnonzero(cut.any((1, 2))), default=0)  # a grid's last tiles may be empty
    return np.ascontiguousarray(cut[:last])


def _declared_count(header: pydicom.Dataset) -> int:
    try:
        return int(header[_COUNT].value)
    except (KeyError, TypeError, ValueError):
        return 0


def _grid(shape: tuple[int, ...], header: pydicom.Dataset, count: int) -> tuple[int, int]:
    """(tiles across, tiles down); (0, 0) where nothing tells."""
    if count:
        side = int(np.ceil(np.sqrt(count)))
        return side, side
    # Frequency rows and columns, phase rows and columns; two of the four are zero.
    sides = [int(n) for n in np.atleast_1d(header.get("AcquisitionMatrix", 0)) if n]
    if not sides or shape[0] % sides[0] or shape[1] % sides[-1]:
        return 0, 0
    return shape[1] // sides[-1], shape[0] // sides[0]
