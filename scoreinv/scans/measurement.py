"""Scanner data and sampling masks from files."""

import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.operators import ct, mri
from scoreinv.operators.base import LinearOperator, Measurement, check_mask


def read_mask(path: str, shape: tuple[int, ...]) -> jax.Array:
    """A sampling mask from an npy file, checked against the shape of the data it selects from."""
    if not Path(path).is_file():
        raise ValueError(f"mask file {path!r} does not exist; give an .npy file of zeros and ones")
    mask = np.load(path, allow_pickle=False).astype(np.float32)
    check_mask(mask, shape)
    return jnp.asarray(mask)


def read_measurement(path: Path, noise_std: float) -> tuple[Measurement, float]:
    """Scanner data from an .npz file, scaled so that its one-shot image lies in [0, 1].

    The file holds `kspace` [H, W] (or [coils, H, W] together with `coils`, the sensitivities), complex, centred; or
    `sinogram` [views, detectors] with `angles` [views] in radians and, optionally, `shape` (H, W) of the image.
    `mask` is optional; without it every sample of k-space that is not zero, and every ray, counts as measured.

    Args:
        path: the file.
        noise_std: standard deviation of the noise on each real number, in the unit of the file.

    Returns:
        (measurement, the number its data were divided by).

    Raises:
        ValueError: missing or unreadable file, missing arrays, NaN or Inf, a mask that does not fit.
    """
    arrays = _read_npz(path)
    if "kspace" in arrays:
        y, transform = _kspace(arrays)
    elif {"sinogram", "angles"} <= set(arrays):
        y, transform = _sinogram(arrays)
    else:
        raise ValueError(f"{str(path)!r} holds {', '.join(arrays) or 'nothing'}; give kspace, or sinogram and angles")
    mask = arrays["mask"].astype(np.float32) if "mask" in arrays else (y != 0).astype(np.float32)
    if "mask" not in arrays and "sinogram" in arrays:
        mask = np.ones((y.shape[0], 1), np.float32)
    check_mask(mask, y.shape)
    bad = int(np.sum(~np.isfinite(y)))
    if bad:
        raise ValueError(f"{str(path)!r} holds NaN or Inf in {bad} of {y.size} samples; zero them in data and mask")
    operator = LinearOperator(jnp.asarray(mask), transform)
    y = jnp.asarray(mask * y)
    scale = float(jnp.percentile(jnp.linalg.norm(operator.inverse(y), axis=-1), 99.8))
    if not scale > 0:
        raise ValueError(f"{str(path)!r} holds zeros only where the mask is 1; check data and mask")
    return Measurement(y / scale, operator, jnp.float32(noise_std / scale)), scale


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise ValueError(f"measurement file {str(path)!r} does not exist; give an .npz file with kspace or sinogram")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is not an .npz file ({error}); write it with numpy.savez") from error


def _kspace(arrays):
    y = arrays["kspace"]
    expected = 3 if "coils" in arrays else 2
    if y.ndim != expected or not np.iscomplexobj(y):
        raise ValueError(
            f"kspace is {y.dtype} of shape {y.shape}; give complex [H, W], or [coils, H, W] with sensitivities `coils`"
        )
    if "coils" not in arrays:
        return y.astype(np.complex64), mri.FourierTransform(2)
    if arrays["coils"].shape != y.shape:
        raise ValueError(f"coils of shape {arrays['coils'].shape} for kspace of shape {y.shape}; give one map per coil")
    return y.astype(np.complex64), mri.SenseTransform(jnp.asarray(arrays["coils"], jnp.complex64), 2)


def _sinogram(arrays):
    y, angles = arrays["sinogram"], arrays["angles"]
    if y.ndim != 2 or np.iscomplexobj(y) or angles.shape != y.shape[:1]:
        raise ValueError(
            f"sinogram is {y.dtype} of shape {y.shape} with {angles.shape} angles; give [views, detectors], [views]"
        )
    side = int(y.shape[1] / np.sqrt(2)) // 8 * 8
    height, width = (int(n) for n in arrays["shape"]) if "shape" in arrays else (side, side)
    return y.astype(np.float32), ct.radon_transform(angles, (height, width), y.shape[1])
