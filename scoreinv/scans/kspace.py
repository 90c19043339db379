"""Measured k-space to a scan: every step from an array as it was saved to a measurement, each said in one line."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Complex

from scoreinv.formats.arrays import Arrays, listed
from scoreinv.formats.export import plain_geometry
from scoreinv.formats.volume import Geometry
from scoreinv.operators import mri
from scoreinv.scans import coils, kspace_layout, masks, noise
from scoreinv.scans.scan import Scan, scaled_scan
from scoreinv.typing import Image

Kspace = Complex[np.ndarray, "_ H W"]
Samples = Complex[np.ndarray, "_ *samples"]
Support = Bool[np.ndarray, "H W"]

# Names under which files hold coil sensitivities, noise scans and the noise's covariance.
MAPS = ("coils", "maps", "sensitivities", "sens", "smaps", "sens_maps", "coil_maps", "sensitivity_maps", "csm")
KNOWN = ("kspace", "mask", "noise", "noise_covariance", "matrix", "spacing", "affine", "chosen", *MAPS)
# An eigenvalue of ESPIRiT from which a pixel has a sensitivity, and the share of the energy of the centre of k-space
# beyond which one set is not enough; a centre too narrow for full kernels leaves as much anyway.
SEEN, UNEXPLAINED = 0.8, 0.005


@dataclass(frozen=True)
class KSpaceSettings:
    """What a user may say about k-space that the data do not.

    Attributes:
        noise_std: standard deviation of the noise on each real number, in the unit of the data; -1: from the data.
        slice_index: of k-space of several slices; -1: the middle one.
        repetition: of k-space of several repetitions.
        echo: of k-space of several echoes.
        virtual_coils: number of coils that more are compressed to; 0: none is.
        calibration: longest side of the calibration region.
        sets: sets of coil sensitivities; 0: a second one where the first does not explain the data.
        shape: sides of the image of non-Cartesian k-space; empty: the file's, else what the samples determine.
    """

    noise_std: float = -1.0
    slice_index: int = -1
    repetition: int = 0
    echo: int = 0
    virtual_coils: int = 12
    calibration: int = coils.MOST
    sets: int = 0
    shape: tuple[int, ...] = ()


class GriddedKspace(NamedTuple):
    """k-space as every later step takes it.

    Attributes:
        kspace: [coils, H, W], both origins in the middle, zero where nothing was measured.
        measured: where it was measured.
        maps: sensitivities that came with it.
        noise_std: of a noise scan; 0 where there is none.
        notes: what was done.
    """

    kspace: Kspace
    measured: Support
    maps: Kspace | None
    noise_std: float
    notes: tuple[str, ...]


def kspace_scan(name: str, arrays: Arrays, settings: KSpaceSettings, **about) -> Scan:
    """The scan of complex `kspace` [H, W], [coils, H, W] or [echoes, repetitions, slices, coils, H, W].

    Args:
        name: of the scan.
        arrays: `kspace`; optional: sensitivities (`coils`) of the shape of one image's k-space, `mask`, `noise` (a
            noise scan [coils, ...]), `noise_covariance`, `matrix` (rows, columns) of the image without readout
            oversampling, `spacing` and `affine` as in `spacing_of`. Without a mask all that is not zero counts.
        settings: what the data do not say.
        about: further fields of the scan.

    Raises:
        ValueError: arrays of other types or shapes, NaN or Inf, a mask that does not fit, noise larger than the data.
    """
    return _scan(name, gridded(arrays, settings), settings, **spacing_of(arrays), **about)


def spacing_of(arrays: Arrays) -> dict[str, Any]:
    """What arrays hold of where pixels lie, as fields of a scan: spacing, and the place where it is three-dimensional.

    Args:
        arrays: `spacing` (row, column) or (row, column, slice) in mm; `affine` [4, 4] as of a `Geometry`.
    """
    if "spacing" not in arrays:
        return {}
    spacing, between = _pair(arrays, "spacing"), [float(side) for side in np.ravel(arrays["spacing"])[2:3]]
    if "affine" in arrays:
        return {"spacing": spacing, "geometry": Geometry(np.asarray(arrays["affine"], float), modality="MR")}
    return {"spacing": spacing} | ({"geometry": plain_geometry(spacing, between[0])} if between else {})


def _pair(arrays: Arrays, name: str) -> tuple[float, float]:
    """Two positive numbers of a file; a third, across the slices, is checked alike."""
    values = np.ravel(arrays[name])
    if values.size not in (2, 3) or values.dtype.kind not in "iuf" or not np.all((values > 0) & np.isfinite(values)):
        raise ValueError(f"{name} is {values[:4].tolist()}; give two positive numbers, of rows and columns")
    return float(values[0]), float(values[1])


def retrospective_scan(
    name: str, full: GriddedKspace, mask: Support, settings: KSpaceSettings, **about
) -> tuple[Scan, Image]:
    """A scan of fewer samples than were measured, and the image of all of them to compare with.

    Sensitivities and noise level come from what is left. The image is the coil images of all samples combined by those
    sensitivities, R = sum_c conj(s_c) x_c / sum_c |s_c|^2; the scan's noise is in it.

    Args:
        name: of the scan.
        full: k-space, measured everywhere.
        mask: what is left of it.
        settings: what the data do not say.
        about: further fields of the scan.

    Returns:
        (scan, image in [0, 1] as the scan's).

    Raises:
        ValueError: k-space that is not fully sampled.
    """
    if not full.measured.all():
        share = 100 * float(full.measured.mean())
        raise ValueError(
            f"scan.retrospective, but only {share:.0f} % of k-space is measured; give a fully sampled scan"
        )
    left = full._replace(kspace=full.kspace * mask, measured=full.measured & mask)
    scan = _scan(name, left, settings, **about)
    transform = scan.measurement.operator.transform
    y = _data(full.kspace, transform)
    note = "compared with all of k-space, its coil images combined by the same sensitivities"
    return replace(scan, notes=(*scan.notes, note)), transform.inverse(y) / scan.scale


def gridded(arrays: Arrays, settings: KSpaceSettings) -> GriddedKspace:
    """K-space on its grid, prewhitened and compressed, where the data ask for it."""
    kspace, measured, maps, notes = _on_grid(arrays, settings)
    kspace, maps, noise_std, said = noise.whitened(kspace, maps, arrays)
    kspace, maps, compression = compressed(kspace, maps, settings.virtual_coils)
    return GriddedKspace(kspace, measured, maps, noise_std, tuple(filter(None, [*notes, *said, *compression])))


def _scan(name: str, data: GriddedKspace, settings: KSpaceSettings, **about) -> Scan:
    kspace, measured, maps, scanned, notes = data
    noise_std, noise_notes = _noise_level(kspace, measured, settings.noise_std, scanned)
    transform, coil_notes = _transform(kspace, measured, maps, settings)
    if isinstance(transform, mri.SenseTransform):
        transform = replace(transform, axes=_sampled_axes(measured))
    y = np.asarray(_data(kspace, transform))
    notes = (*about.pop("notes", ()), *notes, *noise_notes, *coil_notes)
    return scaled_scan(name, y, measured.astype(np.float32), transform, noise_std, notes=notes, **about)


def _sampled_axes(measured: Support) -> tuple[int, ...]:
    """The axes that the data must be transformed along: those on which not everything, or nothing, was measured."""
    for along, alone in ((0, (-1,)), (1, (-2,))):
        if np.all(measured == measured.take([0], along)):
            return alone
    return -2, -1


def _data(kspace: Kspace, transform):
    """The data of a transform: k-space, transformed to the image along the axes that the transform leaves out."""
    if isinstance(transform, mri.FourierTransform):
        return jnp.asarray(kspace[0])
    left_out = tuple(axis for axis in (-2, -1) if axis not in transform.axes)
    return mri.ifft2c(jnp.asarray(kspace), left_out) if left_out else jnp.asarray(kspace)


def _on_grid(arrays: Arrays, settings: KSpaceSettings) -> tuple[Kspace, Support, Kspace | None, list[str]]:
    """k-space [coils, H, W] with both origins in the middle, where it was measured, given sensitivities, notes."""
    values, complex_note = kspace_layout.as_complex(arrays["kspace"])
    coils_alone = values.ndim == 3 and "chosen" not in arrays
    values, chosen = kspace_layout.one_image(values, settings.slice_index, settings.repetition, settings.echo)
    if "chosen" in arrays and arrays["chosen"][1] > 1:
        chosen = "took slice_index {} of {}".format(*arrays["chosen"])
    _check_finite(values)
    maps = next((arrays[name] for name in MAPS if name in arrays), None)
    maps = maps[0] if maps is not None and maps.ndim == 4 and len(maps) == 1 else maps
    kspace, coils_note = kspace_layout.coils_first(values)
    if coils_alone and not coils_note and len(kspace) > 1 and maps is None:
        coils_note = f"the first axis was taken for {len(kspace)} coils; of single-coil slices it is [slices, 1, H, W]"
    if maps is not None:
        if maps.shape not in (values.shape, kspace.shape):
            raise ValueError(f"coils of shape {maps.shape} for kspace of shape {values.shape}; give one map per coil")
        maps = maps if maps.shape == kspace.shape else np.moveaxis(maps, -1, 0)
    kspace, order_note = kspace_layout.zero_frequency_to_middle(kspace.astype(np.complex64))
    measured = kspace_layout.support(kspace)
    if not measured.any():
        raise ValueError("kspace holds zeros only; check the file and the chosen slice")
    mask_note = ""
    if "mask" in arrays:
        measured, mask_note = masks.fitting_mask(arrays["mask"], measured)
    kspace = kspace * measured
    kspace, origin_note = kspace_layout.origin_to_middle(kspace, np.asarray(mri.ifft2c(jnp.asarray(kspace))))
    cropping = ""
    if "matrix" in arrays:
        rows, columns = (int(side) for side in _pair(arrays, "matrix"))
        kspace, measured, cropping = kspace_layout.without_oversampling(kspace, measured, (rows, columns))
    unknown = tuple(name for name in arrays if name not in KNOWN)
    unused = f"not understood and not used: {listed(unknown)}" if unknown else ""
    done = [unused, complex_note, chosen, coils_note, order_note, mask_note, origin_note, cropping]
    return kspace, measured, maps, [*done, *kspace_layout.coverage(measured)]


def _check_finite(values) -> None:
    bad = int(np.sum(~np.isfinite(values)))
    if bad:
        raise ValueError(f"kspace holds NaN or Inf in {bad} of {values.size} samples; zero them in data and mask")
    peak, most = float(np.abs(values).max(initial=0)), kspace_layout.LARGEST
    if peak and not 1 / most < peak < most:
        raise ValueError(
            f"kspace reaches {peak:.3g}; give it in a unit in which its largest is {1 / most:g} to {most:g}"
        )


def _noise_level(kspace: Kspace, measured: Support, given: float, scanned: float) -> tuple[float, list[str]]:
    """The noise level that was given, else that of a noise scan, else an estimate."""
    if given < 0 and scanned > 0:
        return scanned, []
    if given < 0:
        level = noise.estimated_noise(kspace, measured)
        return level, [f"noise level {level:.3g} estimated from the outermost samples of k-space"]
    size = float(np.sqrt(np.mean(np.abs(kspace[:, measured]) ** 2) / 2))
    if given > size:
        raise ValueError(
            f"noise level {given:.3g} for k-space of root mean square {size:.3g}; give it in the unit of the data, or "
            "-1 to have it estimated"
        )
    return given, []


def compressed(kspace: Samples, maps, virtual: int) -> tuple[Samples, Kspace | None, list[str]]:
    """At most `virtual` coils, where no sensitivities came with them; else as they are. See `whitened`."""
    if maps is not None or not 0 < virtual < len(kspace):
        return kspace, maps, []
    fewer = coils.compressed(kspace, virtual)
    share = np.linalg.norm(fewer) ** 2 / np.linalg.norm(kspace) ** 2
    return (
        fewer,
        None,
        [f"{len(kspace)} coils compressed to {virtual} virtual ones with {100 * share:.2f} % of the energy"],
    )


def _transform(kspace: Kspace, measured: Support, maps, settings: KSpaceSettings):
    """The Fourier transform of one coil, or with sensitivities that were given or that the data's centre tells."""
    if len(kspace) == 1 and maps is None:
        return mri.FourierTransform(2), []
    if maps is not None:
        rows, columns = coils.calibration_region(measured, settings.calibration)
        maps, notes = coils.agreeing(maps, kspace[:, rows, columns])
        return mri.SenseTransform(jnp.asarray(maps, jnp.complex64), 2), notes
    rows, columns = coils.calibration_region(measured, settings.calibration)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if min(height, width) < coils.LEAST:
        count = len(kspace)
        alone = jnp.broadcast_to(jnp.eye(count)[..., None, None], (count, *kspace.shape)).astype(jnp.complex64)
        note = (
            f"only {height} x {width} samples about the zero frequency are fully measured, too few for sensitivities: "
            f"{count} coil images are reconstructed one by one and shown as their root sum of squares"
        )
        return mri.SenseTransform(alone, 2 * count), [note]
    maps, strength = coils.espirit(
        jnp.asarray(kspace[:, rows, columns]), kspace.shape[1:], int(np.clip(min(height, width) // 2, 2, coils.KERNEL))
    )
    seen = strength > SEEN
    left = coils.unexplained(jnp.asarray(kspace[:, rows, columns]), maps)
    second = left > UNEXPLAINED and min(height, width) >= 2 * coils.KERNEL
    sets = min(settings.sets or (2 if second else 1), len(kspace))
    maps = maps[:sets] * seen[:sets, None]
    note = f"sensitivities of {len(kspace)} coils estimated by ESPIRiT from {height} x {width} samples" + (
        f", {sets} sets" if sets > 1 else ""
    )
    return mri.SenseTransform(maps[0] if sets == 1 else maps, 2 * sets), [note]
