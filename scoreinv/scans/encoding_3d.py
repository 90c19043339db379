"""3-D encoded k-space as that of slices: which axis is transformed, so that the others keep what was left out."""

import numpy as np
from jaxtyping import Complex

from scoreinv.formats.arrays import Arrays


def slices_of_3d(arrays: Arrays) -> tuple[Arrays, str]:
    """`kspace_3d` as `kspace` of slices; other arrays as they are.

    Where the same lines were measured in all partitions, a Fourier transform along the partitions gives slices of
    [readout, lines]. Where lines and partitions were undersampled together, that along the readout, which is always
    whole, gives slices of [lines, partitions], each with the one sampling pattern (hybrid k-space).

    Args:
        arrays: of a file: `kspace_3d` [coils, readout, lines, partitions], or with echoes, repetitions and slabs in
            front; optional: `matrix` (readout, lines) without oversampling and `spacing` in mm along readout, lines and
            partitions.

    Returns:
        (arrays with `kspace` [slices, coils, H, W], or with echoes and repetitions in front; what was done).

    Raises:
        ValueError: other axes.
    """
    if "kspace_3d" not in arrays:
        return arrays, ""
    values = arrays["kspace_3d"]
    if values.ndim not in (4, 7) or not np.iscomplexobj(values):
        raise ValueError(
            f"kspace_3d is {values.dtype} of shape {values.shape}; give complex [coils, readout, lines, partitions]"
        )
    measured = np.any(values != 0, tuple(range(values.ndim - 2)))  # [lines, partitions]
    spacing = np.ravel(arrays["spacing"]) if "spacing" in arrays else np.zeros(0)
    others = {name: array for name, array in arrays.items() if name != "kspace_3d"}
    if np.all(measured == measured[:, :1]) and measured.any():
        kspace = np.moveaxis(_image(values, -1), -1, -4)
        return others | {"kspace": _merged(kspace)}, f"{values.shape[-1]} partitions transformed to slices"
    kspace = np.moveaxis(_image(values, -3), -3, -4)
    wanted = int(np.ravel(arrays["matrix"])[0]) if "matrix" in arrays else kspace.shape[-4]
    first = kspace.shape[-4] // 2 - wanted // 2
    kspace = kspace.take(np.arange(first, first + wanted), -4)
    others.pop("matrix", None)
    if len(spacing) == 3:
        others["spacing"] = spacing[[1, 2, 0]]
    share = f"{100 * measured.mean():.0f} % of {measured.shape[0]} x {measured.shape[1]} lines and partitions"
    return others | {"kspace": _merged(kspace)}, f"{share} are measured: transformed along the readout, {wanted} slices"


def _image(values: Complex[np.ndarray, "..."], axis: int) -> Complex[np.ndarray, "..."]:
    """The centred orthonormal inverse transform along one axis."""
    image = np.fft.ifft(np.fft.ifftshift(values, axis), axis=axis, norm="ortho")
    return np.fft.fftshift(image, axis).astype(np.complex64)


def _merged(kspace: Complex[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
    """Slabs and their slices as one axis."""
    return kspace if kspace.ndim == 4 else kspace.reshape(*kspace.shape[:2], -1, *kspace.shape[-3:])
