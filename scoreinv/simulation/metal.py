"""Simulated metal: implants as shapes, the beam that scans them, and the measurement that comes of it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from scoreinv.baselines.sirt import sirt
from scoreinv.formats.numpy_arrays import open_npz, read_npy
from scoreinv.operators import mar
from scoreinv.operators.base import LinearOperator, Measurement, block_mean
from scoreinv.operators.ct import RadonTransform, radon_transform
from scoreinv.simulation import polychromatic, xray
from scoreinv.simulation.polychromatic import Beam, HounsfieldWindow, Scan
from scoreinv.typing import Image

# Sub-pixels and sub-rays of the simulation along each axis; the projector rings less the finer they are.
FACTOR = 2
SEGMENTATION_ITERATIONS = 50
Points = Float[np.ndarray, "..."]


def _rod(x: Points, y: Points, x0: float, y0: float, diameter: float) -> np.ndarray:
    return np.hypot(x - x0, y - y0) <= diameter / 2


def _disc(x: Points, y: Points) -> np.ndarray:
    return _rod(x, y, 0.0, 0.0, 1.0)


def _rods(x: Points, y: Points) -> np.ndarray:
    return _rod(x, y, -0.4, 0.0, 0.2) | _rod(x, y, 0.4, 0.0, 0.2)


def _hip(x: Points, y: Points) -> np.ndarray:
    """The ball of a hip prosthesis with its neck, inside a cup that is open towards the neck."""
    radius, along, across = np.hypot(x, y), (x - y) / np.sqrt(2), (x + y) / np.sqrt(2)
    neck = (abs(across) <= 0.09) & (along >= 0) & (along <= 0.65)
    cup = (radius >= 0.42) & (radius <= 0.5) & (along <= 0.15)
    return (radius <= 0.3) | neck | cup


def _screw(x: Points, y: Points, side: int) -> np.ndarray:
    """A pedicle screw that runs forwards and inwards from the right (side 1) or the left (-1), with its thread."""
    tilt = np.deg2rad(20) * side
    u, v = x - 0.38 * side, y + 0.45
    along, across = v * np.cos(tilt) - u * np.sin(tilt), u * np.cos(tilt) + v * np.sin(tilt)
    thread = 0.05 + 0.012 * np.cos(2 * np.pi * along / 0.07)
    shaft = (abs(across) <= thread * np.clip((0.95 - along) / 0.3, 0, 1)) & (along >= 0)
    return shaft | _rod(along, across, 0.0, 0.0, 0.2)


def _screws(x: Points, y: Points) -> np.ndarray:
    return _screw(x, y, 1) | _screw(x, y, -1)


def _fillings(x: Points, y: Points) -> np.ndarray:
    """Fillings of several sizes along a dental arch that opens downwards."""
    teeth = ((15, 0.13), (38, 0.09), (75, 0.06), (128, 0.1), (150, 0.14), (168, 0.08))
    places = [(np.deg2rad(angle), size) for angle, size in teeth]
    return np.any([_rod(x, y, 0.45 * np.cos(a), 0.6 * np.sin(a) - 0.3, size) for a, size in places], axis=0)


# Shapes about (0, 0), x to the right and y upwards, about 1 across.
SHAPES: dict[str, Callable[[Points, Points], np.ndarray]] = {
    "disc": _disc,
    "fillings": _fillings,
    "hip": _hip,
    "rods": _rods,
    "screws": _screws,
}


def read_shape(name: str) -> Callable[[Points, Points], np.ndarray]:
    """A shape by name, or that of a 0/1 image in an npy or npz file (its first array), scaled to 1 across.

    Raises:
        ValueError: unknown name, missing or unreadable file, or an image without metal.
    """
    path = Path(name)
    if path.suffix not in (".npy", ".npz"):
        if name not in SHAPES:
            choices = ", ".join(sorted(SHAPES))
            raise ValueError(f"unknown operator.metal {name!r}; choose one of {choices}, or a 0/1 image (.npy, .npz)")
        return SHAPES[name]
    if path.suffix == ".npz":
        with open_npz(path, expected="a 0/1 image (.npy, .npz)") as file:
            image = file[next(iter(file), "image")]
    else:
        image = np.array(read_npy(path))
    numbers = image.dtype.kind in "biuf" and image.ndim == 2
    if not numbers or not np.any(image) or not np.all((image == 0) | (image == 1)):
        raise ValueError(
            f"{name!r} holds {image.dtype} of shape {image.shape}; give a 0/1 image [H, W] with metal in it"
        )
    return partial(_stored_shape, image != 0)


def _stored_shape(image: Bool[np.ndarray, "H W"], x: Points, y: Points) -> np.ndarray:
    rows, columns = np.nonzero(image)
    centre = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    across = max(np.ptp(rows), np.ptp(columns)) + 1
    row, column = np.rint(centre[0] - across * y).astype(int), np.rint(centre[1] + across * x).astype(int)
    inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    return inside & image[row.clip(0, image.shape[0] - 1), column.clip(0, image.shape[1] - 1)]


def metal_share(
    shape: Callable[[Points, Points], np.ndarray],
    size: tuple[int, int],
    pixel_mm: float | int,
    across_mm: float | int,
    centre_mm: tuple[float | int, float | int] = (0.0, 0.0),
    factor: int = FACTOR,
    points: int = 4,
) -> Float[np.ndarray, "fH fW"]:
    """The share of each of the simulation's finer pixels that is metal: partial volume.

    Args:
        shape: (x, y) -> metal or not, about 1 across.
        size: (H, W) of the image.
        pixel_mm: side of an image pixel.
        across_mm: what 1 of the shape's own length stands for.
        centre_mm: (right, up) of the shape's origin from the image's centre.
        factor: finer pixels per image pixel and axis.
        points: points per finer pixel and axis.

    Returns:
        [factor H, factor W] in [0, 1].

    Raises:
        ValueError: no metal inside the image.
    """
    n = factor * points
    rows, columns = (((np.arange(n * side) + 0.5) / n - side / 2) * pixel_mm for side in size)
    x, y = np.meshgrid((columns - centre_mm[0]) / across_mm, (-rows - centre_mm[1]) / across_mm)
    share = shape(x, y).reshape(factor * size[0], points, factor * size[1], points).mean((1, 3), dtype=np.float32)
    if not share.any():
        raise ValueError(
            f"no metal inside the image: {across_mm} mm across at {tuple(centre_mm)} mm from the centre of "
            f"{size[0] * pixel_mm:.4g} x {size[1] * pixel_mm:.4g} mm; change operator.metal_size or metal_centre"
        )
    return share


def beam(kvp: float | int, material: str, photons: float | int, pixel_mm: float | int) -> Beam:
    """A scanner's beam through one kind of metal; Hounsfield units refer to its mean energy behind 20 cm of water.

    Args:
        kvp: tube voltage, kV.
        material: the metal, see `xray.attenuation`.
        photons: of the open beam, per ray.
        pixel_mm: side of an image pixel.

    Returns:
        The beam, with a water correction that is fitted on all rays that more than one photon passes.

    Raises:
        ValueError: unknown material or voltage, fewer than ten photons, or a pixel without size.
    """
    if not (10 <= photons < np.inf and 0 < pixel_mm < np.inf):
        raise ValueError(
            f"{photons:g} photons, pixels of {pixel_mm:g} mm; give at least 10, and a positive field of view"
        )
    energy = xray.energies(kvp)
    signal = energy * xray.tube_spectrum(kvp)
    signal /= signal.sum()
    water, bone, metal = (xray.attenuation(name, energy) for name in ("water", "bone", material))
    behind = signal * np.exp(-20 * water)
    reference = np.array([energy @ behind / behind.sum()])
    longest = np.log(photons) / np.interp(reference, energy, water)[0]
    per_pixel = pixel_mm / 10
    return Beam(
        spectrum=jnp.asarray(signal, jnp.float32),
        water=jnp.asarray(per_pixel * water, jnp.float32),
        bone=jnp.asarray(per_pixel * bone, jnp.float32),
        metal=jnp.asarray(per_pixel * metal, jnp.float32),
        bone_relative=jnp.float32((xray.attenuation("bone", reference) / xray.attenuation("water", reference))[0]),
        correction=jnp.asarray(
            polychromatic.water_correction(signal, per_pixel * water, longest / per_pixel), jnp.float32
        ),
        photons=jnp.float32(photons),
    )


class MetalScan(NamedTuple):
    """A scan with metal as a method gets it, and what it is compared and shown with.

    Attributes:
        measurement: the rays outside the metal trace.
        truth: the image without metal [H, W, 1].
        metal: 1 on every pixel that is metal, in truth or by the segmentation [H, W, 1].
        uncorrected: filtered back-projection of all rays [H, W, 1], from which the metal was segmented.
    """

    measurement: Measurement
    truth: Image
    metal: Image
    uncorrected: Image


def metal_scan(
    key: PRNGKeyArray,
    operator: LinearOperator,
    image: Image,
    share: Float[Array, "fH fW"] | Float[np.ndarray, "fH fW"],
    beam: Beam,
    window: HounsfieldWindow,
    threshold_hu: float | int = 2500.0,
    noise_std: float | int = 0.0,
) -> MetalScan:
    """Scans an image with metal in it, segments the metal, and leaves the rays that cross it out.

    Args:
        key: PRNG key of the noise.
        operator: the measured views of a Radon transform.
        image: values in [0, 1] by `window` [H, W, 1], or of the simulation's finer pixels.
        share: from `metal_share`.
        beam: from `beam`.
        window: Hounsfield units of the values.
        threshold_hu: what is brighter in the uncorrected image, and in an algebraic one, is metal.
        noise_std: of further Gaussian noise on each ray, in the unit of the sinogram.

    Returns:
        The scan. Vacuum absorbs nothing, so the truth is at least -1000 HU. The measurement's noise level is the root
        mean square over its rays of the photon noise, `noise_std`, and the error of the linear model, as
        `model_error` estimates it from the measurement itself.
    """
    transform = operator.transform
    assert isinstance(transform, RadonTransform)
    fine = radon_transform(
        np.asarray(transform.angles, np.float64), (share.shape[0], share.shape[1]), FACTOR * transform.detectors
    )
    return _metal_scan(key, operator, image, jnp.asarray(share), fine, beam, window, threshold_hu, noise_std)


@jax.jit
def _metal_scan(key, operator, image, share, fine, beam, window, threshold_hu, noise_std):
    photon_key, noise_key = jax.random.split(key)
    relative = jnp.maximum(window.to_relative(image), 0)
    truth = window.from_relative(block_mean(relative, image.shape[0] // operator.transform.shape[0]))
    scan, y = _sinogram(photon_key, relative, share, operator, fine, beam, window)
    y = y + noise_std * jax.random.normal(noise_key, y.shape)
    uncorrected = operator.inverse(y)
    # Few views streak brighter than metal in the filtered back-projection, and blur it in the algebraic image, which
    # is not negative and hence free of streaks: metal is what both show.
    algebraic = sirt(iterations=SEGMENTATION_ITERATIONS)(key, Measurement(operator.mask * y, operator, beam.photons))
    segmented = mar.segment_metal(jnp.minimum(uncorrected, algebraic), window.from_hu(threshold_hu))
    mask = operator.mask * mar.metal_free_mask(operator.transform, segmented)
    photon_std = 1000 / (window.high - window.low) * scan.std
    model_std = model_error(LinearOperator(mask, operator.transform), y, fine, beam, window)
    std = jnp.sqrt(noise_std**2 + _mean_square(photon_std, mask) + model_std**2)
    touched = block_mean(share[..., None], FACTOR)[..., 0] > 0
    metal = jnp.maximum(segmented, touched)[..., None]
    measurement = Measurement(mask * y, operator.replace(mask=mask), std)
    return MetalScan(measurement, truth, metal, uncorrected)


def _sinogram(key, relative, share, operator, fine, beam, window) -> tuple[Scan, Array]:
    scan = polychromatic.scan(key, relative, share, fine, operator.transform.detectors, beam)
    return scan, window.sinogram(scan.water, operator.transform)


def _mean_square(values: Array, mask: Array) -> Array:
    return jnp.sum(mask * values**2) / jnp.maximum(jnp.sum(mask), 1)


def model_error(
    operator: LinearOperator,
    y: Float[Array, "views detectors"],
    fine: RadonTransform,
    beam: Beam,
    window: HounsfieldWindow,
) -> Float[Array, ""]:
    """How far noiseless rays of a polychromatic scan lie from A x: beam hardening of bone, and the pixels' size.

    Known to whoever has the sinogram and the spectrum: the scan of an image like the measured one is simulated without
    noise and compared with its linear projection. That image is the filtered back-projection of the interpolated
    sinogram.

    Args:
        operator: the rays outside the metal trace.
        y: the sinogram, of which only the rays in the mask count.
        fine: Radon transform of the simulation.
        beam: the beam.
        window: Hounsfield units of the values.

    Returns:
        Root mean square over the measured rays, in the unit of y.
    """
    views = jnp.any(operator.mask > 0, axis=1, keepdims=True).astype(jnp.float32)
    image = operator.transform.inverse(views * mar.interpolate(y, operator.mask), views)
    relative = jnp.maximum(window.to_relative(jnp.clip(image, 0, 1)), 0)
    _, simulated = _sinogram(None, relative, jnp.zeros(fine.shape), operator, fine, beam, window)
    linear = operator.transform.forward(jnp.asarray(window.from_relative(relative)))
    return jnp.sqrt(_mean_square(simulated - linear, operator.mask))
