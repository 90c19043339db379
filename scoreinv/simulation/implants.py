"""Implants: shapes of metal, by name or from a file, and the share of each pixel that they fill."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from scoreinv.formats.numpy_arrays import open_npz, read_npy

# Pixels of the simulation per image pixel along each axis; the projector rings less the finer they are.
FACTOR = 2
Points = Float[np.ndarray, "..."]


def _rod(x: Points, y: Points, x0: float, y0: float, diameter: float) -> np.ndarray:
    return np.hypot(x - x0, y - y0) <= diameter / 2


def _disc(x: Points, y: Points) -> np.ndarray:
    return _rod(x, y, 0.0, 0.0, 1.0)


def _rods(x: Points, y: Points) -> np.ndarray:
    return _rod(x, y, -0.4, 0.0, 0.2) | _rod(x, y, 0.4, 0.0, 0.2)


def _hip(x: Points, y: Points) -> np.ndarray:
    """The ball of a hip prosthesis with its neck, inside a cup that is open towards the neck."""
    radius, along, across = np.hypot(x, y), (x - y) / np.sqrt(2), (x + y) / np.sqrt(2)
    neck = (abs(across) <= 0.09) & (along >= 0) & (along <= 0.65)
    cup = (radius >= 0.42) & (radius <= 0.5) & (along <= 0.15)
    return (radius <= 0.3) | neck | cup


def _screw(x: Points, y: Points, side: int) -> np.ndarray:
    """A pedicle screw that runs forwards and inwards from the right (side 1) or the left (-1), with its thread."""
    tilt = np.deg2rad(20) * side
    u, v = x - 0.38 * side, y + 0.45
    along, across = v * np.cos(tilt) - u * np.sin(tilt), u * np.cos(tilt) + v * np.sin(tilt)
    thread = 0.05 + 0.012 * np.cos(2 * np.pi * along / 0.07)
    shaft = (abs(across) <= thread * np.clip((0.95 - along) / 0.3, 0, 1)) & (along >= 0)
    return shaft | _rod(along, across, 0.0, 0.0, 0.2)


def _screws(x: Points, y: Points) -> np.ndarray:
    return _screw(x, y, 1) | _screw(x, y, -1)


def _fillings(x: Points, y: Points) -> np.ndarray:
    """Fillings of several sizes along a dental arch that opens downwards."""
    teeth = ((15, 0.13), (38, 0.09), (75, 0.06), (128, 0.1), (150, 0.14), (168, 0.08))
    places = [(np.deg2rad(angle), size) for angle, size in teeth]
    return np.any([_rod(x, y, 0.45 * np.cos(a), 0.6 * np.sin(a) - 0.3, size) for a, size in places], axis=0)


# Shapes about (0, 0), x to the right and y upwards, about 1 across.
SHAPES: dict[str, Callable[[Points, Points], np.ndarray]] = {
    "disc": _disc,
    "fillings": _fillings,
    "hip": _hip,
    "rods": _rods,
    "screws": _screws,
}


def read_shape(name: str) -> Callable[[Points, Points], np.ndarray]:
    """A shape by name, or that of a 0/1 image in an npy or npz file (its first array), scaled to 1 across.

    Raises:
        ValueError: unknown name, missing or unreadable file, or an image without metal.
    """
    path = Path(name)
    if path.suffix not in (".npy", ".npz"):
        if name not in SHAPES:
            choices = ", ".join(sorted(SHAPES))
            raise ValueError(f"unknown operator.metal {name!r}; choose one of {choices}, or a 0/1 image (.npy, .npz)")
        return SHAPES[name]
    if path.suffix == ".npz":
        with open_npz(path, expected="a 0/1 image (.npy, .npz)") as file:
            image = file[next(iter(file), "image")]
    else:
        image = np.array(read_npy(path))
    numbers = image.dtype.kind in "biuf" and image.ndim == 2
    if not numbers or not np.any(image) or not np.all((image == 0) | (image == 1)):
        raise ValueError(
            f"{name!r} holds {image.dtype} of shape {image.shape}; give a 0/1 image [H, W] with metal in it"
        )
    return partial(_stored_shape, image != 0)


def _stored_shape(image: Bool[np.ndarray, "H W"], x: Points, y: Points) -> np.ndarray:
    rows, columns = np.nonzero(image)
    centre = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    across = max(np.ptp(rows), np.ptp(columns)) + 1
    row, column = np.rint(centre[0] - across * y).astype(int), np.rint(centre[1] + across * x).astype(int)
    inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    return inside & image[row.clip(0, image.shape[0] - 1), column.clip(0, image.shape[1] - 1)]


def metal_share(
    shape: Callable[[Points, Points], np.ndarray],
    size: tuple[int, int],
    pixel_mm: float | int,
    across_mm: float | int,
    centre_mm: tuple[float | int, float | int] = (0.0, 0.0),
    factor: int = FACTOR,
    points: int = 4,
) -> Float[np.ndarray, "fH fW"]:
    """The share of each of the simulation's finer pixels that is metal: partial volume.

    Args:
        shape: (x, y) -> metal or not, about 1 across.
        size: (H, W) of the image.
        pixel_mm: side of an image pixel.
        across_mm: what 1 of the shape's own length stands for.
        centre_mm: (right, up) of the shape's origin from the image's centre.
        factor: finer pixels per image pixel and axis.
        points: points per finer pixel and axis.

    Returns:
        [factor H, factor W] in [0, 1].

    Raises:
        ValueError: no metal inside the image.
    """
    n = factor * points
    rows, columns = (((np.arange(n * side) + 0.5) / n - side / 2) * pixel_mm for side in size)
    x, y = np.meshgrid((columns - centre_mm[0]) / across_mm, (-rows - centre_mm[1]) / across_mm)
    share = shape(x, y).reshape(factor * size[0], points, factor * size[1], points).mean((1, 3), dtype=np.float32)
    if not share.any():
        raise ValueError(
            f"no metal inside the image: {across_mm} mm across at {tuple(centre_mm)} mm from the centre of "
            f"{size[0] * pixel_mm:.4g} x {size[1] * pixel_mm:.4g} mm; change operator.metal_size or metal_centre"
        )
    return share
