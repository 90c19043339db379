"""Measured k-space to a scan."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from scoreinv.formats.arrays import Arrays
from scoreinv.operators import mri
from scoreinv.scans.scan import Scan, scaled_scan


@dataclass(frozen=True)
class KSpaceSettings:
    """What a user may say about k-space that the data do not.

    Attributes:
        noise_std: standard deviation of the noise on each real number, in the unit of the data.
    """

    noise_std: float = 0.0


def kspace_scan(name: str, arrays: Arrays, settings: KSpaceSettings) -> Scan:
    """The scan of `kspace` [H, W] (or [coils, H, W] together with `coils`, the sensitivities), complex, centred.

    Args:
        name: of the scan.
        arrays: `kspace`, `coils` and `mask`; without a mask every sample that is not zero counts as measured.
        settings: what the data do not say.

    Raises:
        ValueError: arrays of other types or shapes, NaN or Inf, a mask that does not fit.
    """
    y = arrays["kspace"]
    expected = 3 if "coils" in arrays else 2
    if y.ndim != expected or not np.iscomplexobj(y):
        raise ValueError(
            f"kspace is {y.dtype} of shape {y.shape}; give complex [H, W], or [coils, H, W] with sensitivities `coils`"
        )
    mask = arrays.get("mask", y != 0).astype(np.float32)
    if "coils" not in arrays:
        return scaled_scan(name, y.astype(np.complex64), mask, mri.FourierTransform(2), settings.noise_std)
    if arrays["coils"].shape != y.shape:
        raise ValueError(f"coils of shape {arrays['coils'].shape} for kspace of shape {y.shape}; give one map per coil")
    transform = mri.SenseTransform(jnp.asarray(arrays["coils"], jnp.complex64), 2)
    return scaled_scan(name, y.astype(np.complex64), mask, transform, settings.noise_std)
