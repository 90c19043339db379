"""Sampling masks from files."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.operators.base import check_mask


def read_mask(path: str, shape: tuple[int, ...]) -> jax.Array:
    """A sampling mask from an npy file, checked against the shape of the data it selects from."""
    if not Path(path).is_file():
        raise ValueError(f"mask file {path!r} does not exist; give an .npy file of zeros and ones")
    mask = np.load(path, allow_pickle=False).astype(np.float32)
    check_mask(mask, shape)
    return jnp.asarray(mask)
