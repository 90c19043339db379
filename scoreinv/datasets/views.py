"""Square views of a slice: as it is, or turned, zoomed and recoloured for training."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from scoreinv.datasets.slices import Slice


@dataclass(frozen=True)
class Views:
    """Which views of its slices a training sees.

    Attributes:
        size: side of a view in pixels.
        zoom: smallest and largest field of view, as a fraction of the slice's longer side; the octaves between are
            seen equally often. No view has finer pixels than its slice, unless all of this range would.
        rotation: largest rotation, degrees.
        native: fraction of the views that are cut out at the slice's own pixels, neither turned nor resampled.

    Raises:
        ValueError: the smallest field of view is larger than the largest.
    """

    size: int
    zoom: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    native: float = 0.0

    def __post_init__(self) -> None:
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"data.zoom={self.zoom}; give the smallest field of view first, then the largest")


def random_view(
    rng: np.random.Generator, image: Float[np.ndarray, "H W"], views: Views
) -> Float[np.ndarray, "size size"]:
    """One rotated, zoomed, shifted view of a slice, for training.

    Args:
        rng: source of the random view.
        image: slice [H, W] in [0, 1].
        views: the distribution.

    Returns:
        view [size, size], float32 in [0, 1].
    """
    side, native = max(image.shape), rng.uniform() < views.native
    finest = np.clip(views.size / side, *views.zoom)
    fraction = views.size / side if native else np.exp(rng.uniform(np.log(finest), np.log(views.zoom[1])))
    angle = np.deg2rad(rng.uniform(-views.rotation, views.rotation))
    slack = max(0.0, 1 - fraction) / 2 * side
    shift = rng.uniform(-slack, slack, 2)
    return native_view(image, views.size, shift) if native else view(image, views.size, fraction, angle, shift)


def native_view(
    image: Float[np.ndarray, "H W"], size: int, shift: Sequence[float] | np.ndarray = (0.0, 0.0)
) -> Float[np.ndarray, "size size"]:
    """A square view of a slice at its own pixels, which are copied; 0 beyond its border.

    Args:
        image: slice [H, W].
        size: side of the view.
        shift: of the centre, in pixels; rounded to whole ones.
    """
    padded = np.pad(image, size)
    first = (round((side - size) / 2 + offset) for side, offset in zip(image.shape, shift, strict=True))
    row, column = (int(np.clip(start, -size, side)) + size for start, side in zip(first, image.shape, strict=True))
    return padded[row : row + size, column : column + size].astype(np.float32)


def view(
    image: Float[np.ndarray, "H W"],
    size: int,
    fraction: float = 1.0,
    angle: float = 0.0,
    shift: Sequence[float] | np.ndarray = (0.0, 0.0),
) -> Float[np.ndarray, "size size"]:
    """A square view of a slice, resampled with an antialiasing Gaussian.

    Args:
        image: slice [H, W] in [0, 1].
        size: output side in pixels.
        fraction: field of view, as a fraction of the slice's longer side.
        angle: rotation, radians.
        shift: of the centre, in pixels of the slice.

    Returns:
        view [size, size], float32 in [0, 1].
    """
    scale = fraction * max(image.shape) / size
    smooth = ndimage.gaussian_filter(image, 0.4 * max(scale - 1, 0)) if scale > 1 else image
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(image.shape) - 1) / 2 + shift
    offset = centre - matrix @ np.full(2, (size - 1) / 2)
    seen = ndimage.affine_transform(smooth, matrix, offset, (size, size), order=3, mode="constant", cval=0.0)
    return np.clip(seen, 0, 1).astype(np.float32)


def squared(item: Slice, size: int) -> Slice:
    """The slice on a square of `size` pixels, its pixel spacing adapted."""
    factor = max(item.image.shape) / size
    row, column = item.spacing
    return dataclasses.replace(item, image=view(item.image, size), spacing=(factor * row, factor * column))


def reduced(item: Slice, size: int) -> Slice:
    """The slice as it is, or where it is larger resampled so that its longer side has `size` pixels."""
    if max(item.image.shape) <= size:
        return item
    small = squared(item, size)
    height, width = (max(1, round(side * size / max(item.image.shape))) for side in item.image.shape)
    top, left = (size - height) // 2, (size - width) // 2
    return dataclasses.replace(small, image=small.image[top : top + height, left : left + width])


def on_canvas(image: Float[np.ndarray, "H W"], size: int) -> Float[np.ndarray, "size size"]:
    """The image in the upper left corner of a black square."""
    return np.pad(image, [(0, size - side) for side in image.shape])
