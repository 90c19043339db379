"""Slices at another matrix size or field of view."""

import jax
import numpy as np
from jaxtyping import Float


def resize(image: Float[np.ndarray, "H W *C"], shape: tuple[int, int]) -> Float[np.ndarray, "h w *C"]:
    """Resamples an image by antialiased cubic convolution (Keys 1981), clipped to the range it had.

    Args:
        image: [H, W] or [H, W, C].
        shape: (height, width) wanted.

    Returns:
        The image at the wanted shape; the field of view is kept.
    """
    resized = np.asarray(jax.image.resize(image, (*shape, *image.shape[2:]), "cubic", antialias=True))
    return np.clip(resized, image.min(), image.max()).astype(np.float32)


def fit_square(
    image: Float[np.ndarray, "H W"],
    size: int,
    spacing: tuple[float, float] = (1.0, 1.0),
    field_of_view: float = 0.0,
) -> Float[np.ndarray, "size size"]:
    """Crops or pads a slice about its centre to a square field of view and resamples it.

    Args:
        image: slice [H, W] in [0, 1]; padding is 0.
        size: side of the result in pixels.
        spacing: (row, column) pixel spacing in mm.
        field_of_view: side of the square in mm; 0: the longer side of the slice.

    Returns:
        [size, size], float32, with square pixels.
    """
    side = field_of_view or max(n * s for n, s in zip(image.shape, spacing, strict=True))
    for axis, pixel in enumerate(spacing):
        wanted, held = max(1, round(side / pixel)), image.shape[axis]
        cut = max(0, held - wanted)
        image = np.take(image, np.arange(cut // 2, held - (cut - cut // 2)), axis)
        pad = max(0, wanted - held)
        widths = [(0, 0), (0, 0)]
        widths[axis] = (pad // 2, pad - pad // 2)
        image = np.pad(image, widths)
    return resize(image, (size, size))
