"""Sampling masks from files."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.formats.numpy_arrays import read_npy
from scoreinv.operators.base import check_mask


def read_mask(path: str, shape: tuple[int, int]) -> jax.Array:
    """A mask of k-space from an npy file, checked against the shape of the data that it selects from.

    Raises:
        ValueError: no such file, another shape, values other than 0 and 1, or a zero frequency that is not measured.
    """
    if not Path(path).is_file():
        raise ValueError(f"mask file {path!r} does not exist; give an .npy file of zeros and ones")
    mask = np.asarray(read_npy(Path(path)), np.float32)
    check_mask(mask, shape)
    whole = np.broadcast_to(mask, shape)
    if not whole[shape[0] // 2, shape[1] // 2]:
        hint = "it looks like FFT order: save numpy.fft.fftshift(mask)" if whole[0, 0] else "measure the centre"
        raise ValueError(
            f"mask {path!r} does not measure the zero frequency, at [{shape[0] // 2}, {shape[1] // 2}]; {hint}"
        )
    return jnp.asarray(mask)
