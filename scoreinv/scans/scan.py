"""A scan: measured data with geometry, unit and noise, as a reconstruction takes it and its result is written."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.formats.volume import Geometry
from scoreinv.operators.base import LinearOperator, Measurement, check_mask
from scoreinv.typing import Image


@dataclass(frozen=True)
class Scan:
    """One image's measured data.

    Attributes:
        name: names its rows, figure and files.
        measurement: what a method gets, scaled so that the image lies in [0, 1].
        scale: an image x of a method is `scale * x + offset` in `unit`.
        offset: see `scale`.
        unit: of the image: that of the data where "" ("HU", "1/mm").
        spacing: (row, column) pixel spacing in mm; None where nothing says it.
        geometry: where the image lies, and the files it is from; None where nothing says it.
        notes: what was recognised, guessed or done about the data, one line each.
        metal: 1 on pixels of metal [H, W, 1], whose rays are not measured; zeroed in what is compared, white in what is
            shown. None where there is none.
        uncorrected: the scanner's own image [H, W, 1] of all rays, shown and compared beside those of the methods.

    >>> scan = scoreinv.Scan("head", measurement, scale=2000.0, offset=-1000.0, unit="HU")
    >>> scoreinv.reconstruct(scan, prior, samples=2, steps=3).unit
    'HU'
    """

    name: str
    measurement: Measurement
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    spacing: tuple[float, float] | None = None
    geometry: Geometry | None = None
    notes: tuple[str, ...] = ()
    metal: Image | None = None
    uncorrected: Image | None = None


def scaled_scan(
    name: str,
    y: np.ndarray,
    mask: np.ndarray,
    transform,
    noise_std: float,
    first: Callable[[LinearOperator, jax.Array], jax.Array] = LinearOperator.inverse,
    **about,
) -> Scan:
    """The scan of data y in any unit, divided by the size of a first image of it.

    Args:
        name: of the scan.
        y: coefficients of the transform's shape.
        mask: 1 where y was measured; broadcasts to it.
        transform: T of A = P(mask) T.
        noise_std: standard deviation of the noise on each real number, in the unit of y.
        first: what makes the image that says how bright the object is.
        about: further fields of `Scan`.

    Raises:
        ValueError: a mask that does not fit, NaN or Inf, or nothing but zeros.
    """
    check_mask(mask, y.shape)
    bad = int(np.sum(~np.isfinite(y)))
    if bad:
        raise ValueError(f"{name!r} holds NaN or Inf in {bad} of {y.size} samples; zero them in data and mask")
    operator = LinearOperator(jax.device_put(mask), transform)
    measured: jax.Array = jax.device_put(mask * y)
    size = jnp.linalg.norm(first(operator, measured), axis=-1)
    scale = float(jnp.percentile(size, 99.8)) or float(size.max())
    if not scale > 0:
        raise ValueError(f"{name!r} holds zeros only where the mask is 1; check data and mask")
    measurement = Measurement(measured / scale, operator, jnp.float32(noise_std / scale))
    return Scan(name, measurement, scale, **about)
