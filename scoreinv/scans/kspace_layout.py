"""How k-space lies in an array: its axes, where its zero frequency and its image's origin are, what a mask means.

Each function looks at the numbers, returns what the operators expect ([coils, H, W], both origins at the middle) and
one line on what it did, empty where nothing was to be done.
"""

import numpy as np
from jaxtyping import Bool, Complex, Inexact, Num

Kspace = Complex[np.ndarray, "coils H W"]
Support = Bool[np.ndarray, "H W"]

NAMES = ("ksp", "k_space", "kdata", "raw", "data")
MOST_COILS = 128
# Share of the energy that the fullest quarter of an axis of k-space holds, of even energy 0.25; of a 3-D scan's slices.
PEAKED = 0.7
# How far the middle of the energy may lie from an image's edge, degrees of a turn about the axis, and how gathered it
# has to be there: for an axis alone, and where another axis has its origin there.
ABOUT_EDGE, GATHERED = (45.0, 60.0), (0.25, 0.1)
# Largest number of k-space: single precision squares it.
LARGEST = 1e15
# Energy within an eighth of the side around an origin: k-space of an object has most of it there.
WINDOW = 8
SHORT = 8  # sides about whose origin nothing is guessed
# By how much the energy around the corner must outweigh that around the middle.
CLEAR = 4.0


def named(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays with k-space under the name `kspace`, if a complex one has another of its usual names.

    Arrays of one group or structure that holds `kspace` are called by the last part of their names.
    """
    group = next((name[: -len("kspace")] for name in arrays if name.endswith("/kspace")), "")
    if group and "kspace" not in arrays:
        arrays = {name.removeprefix(group): array for name, array in arrays.items()}
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
    _check_axes(values)
    wanted = {"echo": echo, "repetition": repetition, "slice_index": slice_index}
    said = []
    if values.ndim > 3 and values.shape[-4] >= SHORT and _gathered(_thinned(values), values.ndim - 4) > PEAKED:
        said.append("which hold energy as those of a 3-D scan do whose slices are not transformed yet")
    for name in list(wanted)[6 - values.ndim :] if values.ndim > 3 else ():
        count, index = len(values), wanted[name]
        if not -1 <= index < count:
            raise ValueError(
                f"{name}={index}, but kspace of shape {values.shape} has {count} there; give 0 to {count - 1}"
            )
        index = count // 2 if index == -1 else index
        said += [f"{name} {index} of {count}"] if count > 1 else []
        values = values[index]
    return values, f"took {', '.join(said[::-1])}" if said else ""


def _check_axes(values: Inexact[np.ndarray, "..."]) -> None:
    """Refuses k-space of more than three axes whose energy gathers along its first ones: rows and columns are last."""
    if values.ndim < 4 or min(values.shape[-2:]) < 1:
        return
    long, some = [axis for axis, side in enumerate(values.shape) if side >= SHORT], _thinned(values)
    gathered = sorted(sorted(long, key=lambda axis: -_gathered(some, axis))[:2])
    last = values.ndim - 2
    if len(gathered) == 2 and max(gathered) < last:
        raise ValueError(
            f"kspace of shape {values.shape} has its centre along axes {gathered[0]} and {gathered[1]}; give [slices, "
            f"coils, H, W]: numpy.moveaxis(kspace, {tuple(gathered)}, (-2, -1)), then slices before coils"
        )


def _thinned(values: Inexact[np.ndarray, "..."]) -> Inexact[np.ndarray, "..."]:
    """At most about 64 entries along each axis, which show where the energy gathers."""
    return values[tuple(slice(None, None, max(1, side // 64)) for side in values.shape)]


def slice_count(values: Num[np.ndarray, "..."]) -> int:
    """Slices of an array that `one_image` takes one of, as it was saved."""
    axes = values.shape if np.iscomplexobj(values) else values.shape[:-1]
    return axes[-4] if len(axes) > 3 else 1


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
    axes: list[int] = []
    moments = {axis: _moment(_profile(image, axis)) for axis in (1, 2) if image.shape[axis] >= SHORT}
    for largest, least in zip(ABOUT_EDGE, GATHERED, strict=True):
        if axes or largest == ABOUT_EDGE[0]:
            near = [a for a, z in moments.items() if abs(z) > least and abs(np.angle(z, deg=True)) < largest]
            axes = sorted({*axes, *near})
    for axis in axes:
        n = kspace.shape[axis]
        turn = np.exp(2j * np.pi * (np.arange(n) - n // 2) * (-(n // 2)) / n)
        kspace = kspace * np.expand_dims(turn, tuple(a for a in range(3) if a != axis)).astype(np.complex64)
    if not axes:
        return kspace, ""
    names = " and ".join({1: "rows", 2: "columns"}[axis] for axis in axes)
    return kspace, f"the object lay about the edge of the {names}: the image's origin was shifted to the middle"


def _moment(energy: np.ndarray) -> complex:
    """sum e_j exp(2 pi i j / n) / sum e: 0 for even energy, its angle 0 about the edge and pi about the middle."""
    turn = np.exp(2j * np.pi * np.arange(len(energy)) / len(energy))
    return complex((energy * turn).sum() / max(energy.sum(), 1e-300))


def support(kspace: Kspace) -> Support:
    """Where any coil holds something else than zero."""
    return np.any(kspace != 0, 0)


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


def coverage(measured: Support) -> list[str]:
    """What the measured region says: k-space that ends before its edge, or reaches further on one side."""
    notes = []
    for axis, name in enumerate(("rows", "columns")):
        lines = np.flatnonzero(measured.any(1 - axis))
        n = measured.shape[axis]
        if n < SHORT:
            continue
        before, behind = n // 2 - lines[0], lines[-1] - n // 2
        if min(before, behind) < 0.8 * max(before, behind):
            notes.append(
                f"partial Fourier: measured {name} reach {before} to one side of the zero frequency and {behind} to "
                "the other; the rest is reconstructed"
            )
        elif max(before, behind) < 0.45 * n:
            notes.append(f"k-space is zero beyond {len(range(lines[0], lines[-1] + 1))} of {n} {name}: not measured")
    return notes
