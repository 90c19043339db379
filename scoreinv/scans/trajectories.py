"""Measured radial and spiral k-space to a scan."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from scoreinv.formats.arrays import Arrays
from scoreinv.operators import mri, noncartesian
from scoreinv.scans import coils, noise
from scoreinv.scans.kspace import MAPS, SEEN, KSpaceSettings, compressed, spacing_of
from scoreinv.scans.scan import Scan, scaled_scan

TRAJECTORY = ("trajectory", "traj", "k")
WEIGHTS = ("weights", "dcf", "w")
CENTRE = 24  # side of the centre of k-space that sensitivities are estimated from
MOST_PIXELS, SMALL = 100, 256**2  # of an image, for each sample; beyond a small image
OUTERMOST = 0.05  # share of the samples, the outermost ones, that are taken for noise


def is_noncartesian(arrays: Arrays) -> bool:
    """Whether k-space comes with the positions of its samples."""
    return any(name in arrays for name in TRAJECTORY)


def noncartesian_scan(name: str, arrays: Arrays, settings: KSpaceSettings, **about) -> Scan:
    """The scan of `kspace` [coils, ...] or [..., coils] at the positions `trajectory` [..., 2].

    Args:
        name: of the scan.
        arrays: `kspace`; `trajectory` in cycles per pixel along rows and columns, or complex [...] (rows + i columns);
            optional: density `weights` [...], `matrix` (rows, columns) of the image, sensitivities (`coils`)
            [coils, H, W], `noise` and `noise_covariance`.
        settings: what the data do not say.
        about: further fields of the scan.

    Raises:
        ValueError: arrays that do not fit each other, NaN or Inf, jax-finufft is not installed.
    """
    positions, layout, said = _positions(next(arrays[n] for n in TRAJECTORY if n in arrays))
    maps = next((arrays[n] for n in MAPS if n in arrays), None)
    samples, maps, scanned, noise_note = noise.whitened(_samples(arrays["kspace"], layout), maps, arrays)
    samples, maps, compression = compressed(samples, maps, settings.virtual_coils)
    shape, shape_note = _shape(arrays, settings, len(positions))
    given = next((arrays[n] for n in WEIGHTS if n in arrays), None)
    if given is not None and np.size(given) != len(positions):
        raise ValueError(f"weights of shape {np.shape(given)} for {len(positions)} samples; give one for each, or none")
    where = jnp.asarray(positions)
    if given is None:
        weights = noncartesian.density_compensation(where, shape)
    else:
        weights = noncartesian.normalised(jnp.asarray(np.ravel(given), jnp.float32), where, shape)
    sensitivities, coil_note = _sensitivities(jnp.asarray(samples), maps, weights, where, shape)
    spectrum = noncartesian.toeplitz_spectrum(weights, where, shape)
    transform = noncartesian.NonCartesianTransform(where, jnp.sqrt(weights), spectrum, sensitivities)
    level = settings.noise_std if settings.noise_std >= 0 else scanned or _noise(samples, positions)
    # Where weights differ, the noise of the weighted samples is taken as white at the level it has in T^H y.
    noise_std = level * float(jnp.sqrt(jnp.sum(weights**2) / jnp.sum(weights)))
    density = "density compensation computed" if given is None else "density weights as given"
    notes = [said, *noise_note, *compression, shape_note, density, coil_note, f"noise level {level:.3g}"]
    y = np.asarray(jnp.sqrt(weights) * samples)
    about = spacing_of(arrays) | about
    return scaled_scan(
        name, y, np.ones((1, 1), np.float32), transform, noise_std, notes=tuple(filter(None, notes)), **about
    )


def _positions(trajectory) -> tuple[Float[np.ndarray, "samples 2"], tuple[int, ...], str]:
    """(positions in cycles per pixel, the axes of the samples, what the unit was taken for)."""
    if np.iscomplexobj(trajectory):
        trajectory = np.stack([trajectory.real, trajectory.imag], -1)
    if trajectory.ndim < 2 or trajectory.shape[-1] not in (2, 3):
        raise ValueError(
            f"trajectory of shape {trajectory.shape}; give [..., 2] in cycles per pixel, or complex numbers"
        )
    layout = trajectory.shape[:-1]
    flat = np.asarray(trajectory[..., :2], np.float32).reshape(-1, 2)
    if not np.all(np.isfinite(flat)):
        raise ValueError("trajectory holds NaN or Inf; leave those samples out")
    reach = float(np.abs(flat).max())
    if reach <= 0.5 + 1e-4:
        return flat, layout, ""
    if reach <= np.pi + 1e-3:
        return flat / (2 * np.pi), layout, "the trajectory was taken for radians per pixel"
    return flat / (2 * reach), layout, f"the trajectory, up to {reach:.3g}, was taken to end at half a cycle per pixel"


def _samples(kspace, layout: tuple[int, ...]) -> Complex[np.ndarray, "coils samples"]:
    if not np.iscomplexobj(kspace):
        raise ValueError(f"kspace is {kspace.dtype}; give complex samples")
    if kspace.shape == layout:
        kspace = kspace[None]
    elif kspace.shape[:-1] == layout:
        kspace = np.moveaxis(kspace, -1, 0)
    if kspace.shape[1:] != layout:
        raise ValueError(f"kspace of shape {kspace.shape} for a trajectory of {layout} samples; give [coils, ...]")
    if not np.all(np.isfinite(kspace)):
        raise ValueError("kspace holds NaN or Inf; leave those samples out of it and the trajectory")
    return kspace.reshape(len(kspace), -1).astype(np.complex64)


def _shape(arrays: Arrays, settings: KSpaceSettings, count: int) -> tuple[tuple[int, int], str]:
    """The image's sides: as said, of the file, or those that so many samples determine."""
    given = [np.array(settings.shape), *(arrays[name] for name in ("matrix", "shape") if name in arrays)]
    sides = next((np.ravel(sides) for sides in given if sides.size), np.zeros(0))
    if sides.size:
        whole = 1 <= sides.size <= 3 and sides.dtype.kind in "iuf" and np.all((sides >= 1) & (sides == np.round(sides)))
        if not whole or float(sides[0]) * float(sides[1 % sides.size]) > max(SMALL, MOST_PIXELS * count):
            raise ValueError(
                f"the image's sides are {sides.tolist()[:4]}; give rows and columns, at most {MOST_PIXELS} pixels for "
                f"each of the {count} samples"
            )
        return (int(sides[0]), int(sides[1 % sides.size])), ""
    side = min(512, int(np.sqrt(4 * count / np.pi)) // 2 * 2)
    return (side, side), f"nothing says the matrix: {side} x {side}, what {count} samples determine; scan.shape sets it"


def _noise(samples: np.ndarray, positions: np.ndarray) -> float:
    distance = np.linalg.norm(positions, axis=-1)
    outermost = samples[:, distance >= np.quantile(distance, 1 - OUTERMOST)]
    levels = np.median(np.abs(outermost), 1) / np.sqrt(2 * np.log(2))
    return float(np.sqrt(np.mean(levels**2)))


def _sensitivities(samples, maps, weights, positions, shape: tuple[int, int]):
    """Those given, else ESPIRiT on the centre of k-space of the gridded coil images."""
    if maps is not None:
        if maps.shape != (len(samples), *shape):
            raise ValueError(
                f"coils of shape {maps.shape} for {len(samples)} coils and an image of {shape[0]} x {shape[1]}; give "
                "[coils, H, W] of the image (scan.shape)"
            )
        return jnp.asarray(maps, jnp.complex64), ""
    if len(samples) == 1:
        return jnp.ones((1, *shape), jnp.complex64), ""
    images = noncartesian.nufft_adjoint(weights * samples, positions, shape)
    middle = tuple(slice(max(0, n // 2 - CENTRE // 2), n // 2 + CENTRE // 2) for n in shape)
    maps, strength = coils.espirit(mri.fft2c(images)[:, middle[0], middle[1]], shape)
    return maps[0] * (strength[0] > SEEN), f"sensitivities of {len(samples)} coils estimated by ESPIRiT"
