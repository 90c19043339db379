"""Sampling masks: from files, and what a mask that came with k-space means."""

import itertools
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Num

from scoreinv.formats.numpy_arrays import read_npy
from scoreinv.operators.base import check_mask

Support = Bool[np.ndarray, "H W"]

# Share of samples in which a mask and the zeros of k-space may differ where the mask is read as it is not documented.
AGREED = 0.05


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
    return jax.device_put(mask)


def fitting_mask(mask: Num[np.ndarray, "..."] | Bool[np.ndarray, "..."], measured: Support) -> tuple[Support, str]:
    """The mask [H, W] that a user's array means: the reading of it that agrees with the zeros of k-space.

    Args:
        mask: of one axis, or with axes for coils and slices that all hold the same; bool or 0/1.
        measured: where k-space is not zero.

    Returns:
        (True where measured, which reading of the array was taken).

    Raises:
        ValueError: it fits neither axis, holds something else than 0 and 1, is all zero, or marks what holds zeros.
    """
    if not np.all((mask == 0) | (mask == 1)):
        raise ValueError("mask holds values other than 0 and 1; threshold it first")
    if mask.ndim == 0:
        raise ValueError(f"mask is the one number {mask}; give one for each line of k-space, or leave it out")
    if not np.any(mask):
        raise ValueError("mask is all zero, nothing is measured; keep at least one sample at 1")
    readings = dict(_readings(np.asarray(mask) != 0, measured.shape))
    if not readings:
        raise ValueError(
            f"mask of shape {mask.shape} for data of shape {measured.shape}; each axis must have the data's size or 1"
        )
    disagreement = {name: _disagreement(reading, measured) for name, reading in readings.items()}
    name = min(disagreement, key=lambda n: disagreement[n])  # of equals the first, which is as documented
    documented, (unlikely, _, left_out) = next(iter(readings)), disagreement[name]
    # Zero-filled k-space has zeros where lines were measured; a mask that leaves most of the data out is none of it.
    all_data = unlikely < 1 and not left_out and disagreement[documented][2] > 0.5
    if unlikely > AGREED and not all_data:  # no guess that is not well supported
        name = documented
    marked_zeros, left_out = disagreement[name][1:]
    if marked_zeros > 0.5:
        raise ValueError(
            f"mask marks samples as measured of which {100 * marked_zeros:.0f} % are exact zeros, and leaves out "
            f"{100 * left_out:.0f} % of those that hold data; give the mask of this k-space, or leave it out"
        )
    notes = [f"mask of shape {mask.shape} was read as {name}, which agrees with the zeros of k-space"] if name else []
    if marked_zeros:
        notes.append(f"{100 * marked_zeros:.3g} % of what the mask marks are exact zeros and count as not measured")
    if left_out:
        notes.append(f"the mask leaves out {100 * left_out:.3g} % of the samples that are not zero")
    return readings[name] & measured, "; ".join(notes)


def _readings(mask: np.ndarray, shape: tuple[int, int]):
    """(name, mask [H, W]) of all that an array can mean, the documented reading first and without a name."""
    mask = _without_equal_axes(mask, shape)
    if mask.ndim == 1:
        forms = {"": mask[None], "rows": mask[:, None]}
    elif mask.ndim == 2:
        forms = {"": mask, "transposed": mask.T}
    else:
        return
    shifts = {"": (), "FFT order": (0, 1), "FFT order along the rows": (0,), "FFT order along the columns": (1,)}
    for (form, values), (order, axes) in itertools.product(forms.items(), shifts.items()):
        if all(m in (1, n) for m, n in zip(values.shape, shape, strict=True)):
            name = ", ".join(filter(None, [form, order]))
            yield name, np.broadcast_to(np.fft.fftshift(values, axes), shape)


def _without_equal_axes(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The mask without the axes along which nothing changes, as long as more than two are left."""
    for axis in (*range(mask.ndim - 2), mask.ndim - 1):
        rest = np.moveaxis(mask, axis, 0)
        same = np.all(rest == rest[:1])
        fits = mask.ndim - 1 >= 2 and all(m in (1, n) for m, n in zip(rest.shape[-2:], shape, strict=True))
        if same and (fits or mask.ndim > 3):
            return _without_equal_axes(rest[0], shape) if rest[0].ndim > 2 else rest[0]
    return mask


def _disagreement(reading: np.ndarray, measured: np.ndarray) -> tuple[float, float, float]:
    """(how unlikely it is, share of the marked samples that are zero, share of those with data that are left out)."""
    marked = float(np.sum(reading & ~measured) / np.sum(reading))
    left = float(np.sum(measured & ~reading) / max(1, np.sum(measured)))
    height, width = reading.shape
    without_middle = not reading[height // 2, width // 2]
    # Data that are measured everywhere say nothing about the mask, which undersamples them afterwards.
    return round(marked + (0 if measured.all() else left), 3) + without_middle, marked, left
