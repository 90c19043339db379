"""Square views of a slice: as it is, or turned, zoomed and recoloured for training."""

import dataclasses

import numpy as np
from scipy import ndimage

from scoreinv.datasets.folders import Slice


def random_view(rng: np.random.Generator, image: np.ndarray, data) -> np.ndarray:
    """One rotated, zoomed, shifted, blurred view of a slice with another contrast, for training.

    Blur and contrast stand for the scanners, sequences and resolutions that the training volumes do not show.

    Args:
        rng: source of the random view.
        image: slice [H, W] in [0, 1].
        data: the `data` section of the configuration: size, zoom, rotation, blur, gamma, recoloured.

    Returns:
        view [size, size], float32 in [0, 1].
    """
    fraction, angle = rng.uniform(*data.zoom), np.deg2rad(rng.uniform(-data.rotation, data.rotation))
    slack = max(0.0, 1 - fraction) / 2 * max(image.shape)
    seen = view(image, data.size, fraction, angle, rng.uniform(-slack, slack, 2))
    if rng.uniform() < data.recoloured:
        # Another sequence: tissues change their order of brightness, air stays black.
        levels = np.concatenate([[0.0], rng.uniform(0.2, 1.0, 4)])
        seen = np.interp(seen, np.linspace(0, 1, 5), levels)
    seen = ndimage.gaussian_filter(seen, rng.uniform(0, data.blur))
    return (seen ** np.exp(rng.uniform(-data.gamma, data.gamma))).astype(np.float32)


def view(image: np.ndarray, size: int, fraction: float = 1.0, angle: float = 0.0, shift=(0.0, 0.0)) -> np.ndarray:
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


def prepared(item: Slice, size: int) -> Slice:
    """The slice on a square of `size` pixels, its pixel spacing adapted."""
    factor = max(item.image.shape) / size
    row, column = item.spacing
    return dataclasses.replace(item, image=view(item.image, size), spacing=(factor * row, factor * column))
