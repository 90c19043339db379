"""PNG, TIFF and JPEG pictures: one gray value for each pixel, 8 or 16 bits, without a unit."""

from pathlib import Path

import numpy as np

from scoreinv.formats.guard import FileError, check_bytes, shown
from scoreinv.formats.volume import Volume

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


def read_picture(path: Path) -> Volume:
    """A gray picture as a volume of one slice; call it under `guard.reading`.

    Raises:
        ValueError: colour, several pictures in one file, or too large.
    """
    from PIL import Image

    with Image.open(path) as picture:
        check_bytes((picture.height, picture.width, len(picture.getbands())), np.float32, path)
        count = getattr(picture, "n_frames", 1)
        if count > 1:
            raise FileError(f"{shown(path)} holds {count} pictures; allowed: one: save them as .npy or NIfTI")
        values = np.asarray(picture.convert("RGBA") if picture.mode in ("P", "PA") else picture)
    if values.ndim == 3:
        colours = values[..., : values.shape[2] - (values.shape[2] in (2, 4))]
        if np.any(colours != colours[..., :1]):
            raise FileError(f"{shown(path)} is in colour; allowed: gray pictures: take the scanner's own file")
        values = colours[..., 0]
    return Volume(values[None].astype(np.float32), notes=("a picture: its gray values have no unit",))
