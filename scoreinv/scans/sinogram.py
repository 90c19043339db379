"""Measured sinograms to a scan."""

from dataclasses import dataclass

import numpy as np

from scoreinv.formats.arrays import Arrays
from scoreinv.operators import ct
from scoreinv.scans.scan import Scan, scaled_scan


@dataclass(frozen=True)
class SinogramSettings:
    """What a user may say about a sinogram that the data do not.

    Attributes:
        noise_std: standard deviation of the noise on each ray, in the unit of the data.
    """

    noise_std: float = 0.0


def sinogram_scan(name: str, arrays: Arrays, settings: SinogramSettings) -> Scan:
    """The scan of `sinogram` [views, detectors] with `angles` [views] in radians.

    Args:
        name: of the scan.
        arrays: `sinogram`, `angles` and, optionally, `mask` and `shape` (H, W) of the image.
        settings: what the data do not say.

    Raises:
        ValueError: arrays of other types or shapes, NaN or Inf, a mask that does not fit.
    """
    y, angles = arrays["sinogram"], arrays["angles"]
    if y.ndim != 2 or np.iscomplexobj(y) or angles.shape != y.shape[:1]:
        raise ValueError(
            f"sinogram is {y.dtype} of shape {y.shape} with {angles.shape} angles; give [views, detectors], [views]"
        )
    mask = arrays["mask"].astype(np.float32) if "mask" in arrays else np.ones((y.shape[0], 1), np.float32)
    side = int(y.shape[1] / np.sqrt(2)) // 8 * 8
    height, width = (int(n) for n in arrays["shape"]) if "shape" in arrays else (side, side)
    transform = ct.radon_transform(angles, (height, width), y.shape[1])
    return scaled_scan(name, y.astype(np.float32), mask, transform, settings.noise_std)
