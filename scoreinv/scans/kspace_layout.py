"""How k-space lies in an array: its axes, where its zero frequency and its image's origin are, what a mask means.

Each function looks at the numbers, returns what the operators expect ([coils, H, W], both origins at the middle) and
one line on what it did, empty where nothing was to be done.
"""

import itertools

import numpy as np
from jaxtyping import Bool, Complex, Inexact, Num

Kspace = Complex[np.ndarray, "coils H W"]
Support = Bool[np.ndarray, "H W"]

NAMES = ("ksp", "kdata", "raw", "data")
MOST_COILS = 128
# Energy within an eighth of the side around an origin: k-space of an object has most of it there.
WINDOW = 8
SHORT = 8  # sides about whose origin nothing is guessed
# By how much the energy around the corner must outweigh that around the middle.
CLEAR = 4.0
# Share of samples in which a mask and the zeros of k-space may differ where the mask is read as it is not documented.
AGREED = 0.05


def named(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays with k-space under the name `kspace`, if a complex one has another of its usual names."""
    for name in () if "kspace" in arrays else NAMES:
        if name in arrays and np.iscomplexobj(arrays[name]):
            return {"kspace": arrays[name]} | {n: a for n, a in arrays.items() if n != name}
    return arrays


def as_complex(values: Num[np.ndarray, "..."]) -> tuple[Inexact[np.ndarray, "..."], str]:
    """Pairs of real and imaginary part along the last axis as complex numbers."""
    if np.iscomplexobj(values):
        return values, ""
    if values.dtype.kind == "f" and values.ndim >= 3 and values.shape[-1] == 2:
        return values[..., 0] + 1j * values[..., 1], "the last axis was taken for real and imaginary part"
    raise ValueError(
        f"kspace is {values.dtype} of shape {values.shape}; give complex numbers [H, W] or [coils, H, W]: real ones "
        "are no k-space"
    )


def one_image(
    values: Inexact[np.ndarray, "..."], slice_index: int, repetition: int = 0, echo: int = 0
) -> tuple[Inexact[np.ndarray, "..."], str]:
    """One image's k-space of an array [echoes, repetitions, slices, coils, H, W] or one with fewer leading axes.

    Args:
        values: the array; up to three axes are one image's coils, rows and columns.
        slice_index: -1 is the middle one.
        repetition: index of the fifth axis from the end.
        echo: index of the sixth axis from the end.

    Returns:
        (the array without leading axes, what was chosen).

    Raises:
        ValueError: more axes, or no such slice, repetition or echo.
    """
    if values.ndim < 2 or values.ndim > 6:
        raise ValueError(
            f"kspace is {values.dtype} of shape {values.shape}; give complex [H, W], [coils, H, W] or [slices, coils, "
            "H, W]"
        )
    wanted = {"echo": echo, "repetition": repetition, "slice_index": slice_index}
    said = []
    for name in list(wanted)[6 - values.ndim :] if values.ndim > 3 else ():
        count, index = len(values), wanted[name]
        if not -1 <= index < count:
            raise ValueError(
                f"{name}={index}, but kspace of shape {values.shape} has {count} there; give 0 to {count - 1}"
            )
        index = count // 2 if index == -1 else index
        said += [f"{name} {index} of {count}"] if count > 1 else []
        values = values[index]
    return values, f"took {', '.join(said)}" if said else ""


def coils_first(values: Inexact[np.ndarray, "..."]) -> tuple[Kspace, str]:
    """[H, W], [coils, H, W] or [H, W, coils] as [coils, H, W].

    The coils are the axis along which the energy does not gather about one place; of axes where it does not, the
    shortest, and the first rather than the last.
    """
    if values.ndim == 2:
        return values[None], ""
    spread = {axis: (_gathered(values, axis), values.shape[axis]) for axis in (0, 2)}
    last = spread[2][1] <= MOST_COILS and spread[2][1] < spread[0][1] and spread[2][0] <= spread[0][0]
    if not last and values.shape[2] > 1:
        return values, ""
    return np.moveaxis(values, 2, 0), f"kspace of shape {values.shape} was taken for [H, W, coils]"


def _gathered(values, axis: int) -> float:
    """Share of the energy in the fullest quarter of an axis' neighbours, a quarter where it is spread evenly."""
    energy = _profile(values, axis)
    n = max(1, len(energy) // 4)
    circular = np.concatenate([energy, energy[: n - 1]])
    return float(np.convolve(circular, np.ones(n), "valid").max() / max(energy.sum(), 1e-300))


def _window_energy(energy: np.ndarray, centre: int) -> float:
    n = len(energy)
    distance = np.abs((np.arange(n) - centre + n // 2) % n - n // 2)
    return float(energy[distance <= max(1, n // (2 * WINDOW))].sum())


def _profile(values, axis: int) -> np.ndarray:
    others = tuple(a for a in range(values.ndim) if a != axis)
    return np.asarray(np.sum(np.abs(values) ** 2, others, dtype=np.float64))


def corner_axes(values: Inexact[np.ndarray, "coils H W"]) -> tuple[int, ...]:
    """The axes (1, 2) along which the energy gathers about index 0, as after an FFT without a shift."""
    found = []
    for axis in (1, 2):
        energy = _profile(values, axis)
        if len(energy) < SHORT:
            continue
        middle = _window_energy(energy, len(energy) // 2)
        if _window_energy(energy, 0) > CLEAR * middle:
            found.append(axis)
    return tuple(found)


def zero_frequency_to_middle(kspace: Kspace) -> tuple[Kspace, str]:
    """k-space in FFT order as centred."""
    axes = corner_axes(kspace)
    if not axes:
        return kspace, ""
    names = " and ".join({1: "rows", 2: "columns"}[axis] for axis in axes)
    note = f"the zero frequency was at index 0 of the {names}: shifted to the middle (numpy.fft.fftshift)"
    return np.fft.fftshift(kspace, axes), note


def origin_to_middle(kspace: Kspace, image: Inexact[np.ndarray, "coils H W"]) -> tuple[Kspace, str]:
    """k-space of an image whose origin lies in the corner, as that of one with it in the middle.

    Such k-space comes of fftshift(fft2(image)) without an ifftshift of the image; the image of it is cut into four.

    Args:
        kspace: centred k-space.
        image: its coil images by the centred transform, of low resolution perhaps.
    """
    axes = []
    for axis in (1, 2):
        energy = np.fft.fftshift(_profile(image, axis))
        n = len(energy)
        if n < SHORT:
            continue
        outer = energy[n // 4 : n - n // 4].sum()  # shifted: the middle half is what lies at the edges of the image
        if outer > CLEAR * (energy.sum() - outer):
            axes.append(axis)
    for axis in axes:
        n = kspace.shape[axis]
        turn = np.exp(2j * np.pi * (np.arange(n) - n // 2) * (-(n // 2)) / n)
        kspace = kspace * np.expand_dims(turn, tuple(a for a in range(3) if a != axis)).astype(np.complex64)
    if not axes:
        return kspace, ""
    names = " and ".join({1: "rows", 2: "columns"}[axis] for axis in axes)
    return kspace, f"the object lay about the edge of the {names}: the image's origin was shifted to the middle"


def support(kspace: Kspace) -> Support:
    """Where any coil holds something else than zero."""
    return np.any(kspace != 0, 0)


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
    if not np.any(mask):
        raise ValueError("mask is all zero, nothing is measured; keep at least one sample at 1")
    readings = dict(_readings(np.asarray(mask) != 0, measured.shape))
    if not readings:
        raise ValueError(
            f"mask of shape {mask.shape} for data of shape {measured.shape}; each axis must have the data's size or 1"
        )
    disagreement = {name: _disagreement(reading, measured) for name, reading in readings.items()}
    name = min(disagreement, key=lambda n: disagreement[n])  # of equals the first, which is as documented
    if disagreement[name][0] > AGREED:  # no guess that is not well supported
        name = next(iter(readings))
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


def without_oversampling(
    kspace: Kspace, measured: Support, matrix: tuple[int, int]
) -> tuple[Complex[np.ndarray, "coils h w"], Bool[np.ndarray, "h w"], str]:
    """k-space of the middle of the image alone, along axes that are measured throughout and longer than the matrix.

    Args:
        kspace: centred.
        measured: where it was measured.
        matrix: (rows, columns) of the image that is wanted.

    Returns:
        (k-space, where it was measured, what was done).
    """
    notes = []
    for axis, (name, wanted) in enumerate(zip(("rows", "columns"), matrix, strict=True)):
        n = measured.shape[axis]
        if not 0 < wanted < n:
            continue
        if not np.all(measured == measured.take([0], axis)):
            notes.append(f"{n} {name}, of which the middle {wanted} are wanted, stay: k-space has gaps along them")
            continue
        lines = np.arange(n // 2 - wanted // 2, n // 2 - wanted // 2 + wanted)
        image = np.fft.ifft(np.fft.ifftshift(kspace, axis + 1), axis=axis + 1, norm="ortho")
        image = np.fft.fftshift(image, axis + 1).take(lines, axis + 1)
        kspace = np.fft.fft(np.fft.ifftshift(image, axis + 1), axis=axis + 1, norm="ortho")
        kspace = np.fft.fftshift(kspace, axis + 1).astype(np.complex64)
        measured = measured.take(np.arange(wanted), axis)
        notes.append(f"readout oversampling removed: {n} to {wanted} {name}")
    return kspace * measured, measured, "; ".join(notes)
