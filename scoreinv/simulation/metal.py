"""Scans of metal: the beam, the polychromatic rays, and the measurement that comes of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv.operators import mar
from scoreinv.operators.algebraic import simultaneous_iterations
from scoreinv.operators.base import LinearOperator, Measurement, block_mean
from scoreinv.operators.geometry import RayTransform
from scoreinv.simulation import polychromatic, xray
from scoreinv.simulation.implants import FACTOR
from scoreinv.simulation.polychromatic import Beam, HounsfieldWindow, Readings
from scoreinv.typing import Image

SEGMENTATION_ITERATIONS = 50


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
        truth: the image without metal [H, W, 1]; None where nobody knows it.
        metal: 1 on every pixel that is metal, in truth or by the segmentation [H, W, 1].
        uncorrected: filtered back-projection of all rays [H, W, 1], from which the metal was segmented.
    """

    measurement: Measurement
    truth: Image | None
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
        operator: the measured views, parallel or a fan.
        image: values in [0, 1] by `window` [H, W, 1], or of the simulation's finer pixels.
        share: from `implants.metal_share`.
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
    assert isinstance(transform, RayTransform)
    fine = transform.finer(FACTOR).rays
    assert isinstance(fine, RayTransform)
    return _metal_scan(key, operator, image, jnp.asarray(share), fine, beam, window, threshold_hu, noise_std)


def reprojected(
    operator: LinearOperator, image: Image, window: HounsfieldWindow, threshold_hu: float | int, noise_std: float | int
) -> MetalScan:
    """The projections of an image that holds metal, streaks included, without the rays through it.

    What a viewer has is the scanner's image and not its rays; its forward projection is the nearest thing to them. Rays
    outside of the trace are as wrong as the streaks that they cross, which no method can know.

    Args:
        operator: the views.
        image: values by `window`, not clipped [H, W, 1].
        window: Hounsfield units of the values.
        threshold_hu: what is brighter is metal.
        noise_std: of the rays, to which no noise is added.

    Returns:
        The scan, of unknown truth.

    Raises:
        ValueError: nothing in the image is brighter than the threshold.
    """
    metal = mar.segment_metal(image, window.from_hu(threshold_hu))
    if not np.any(np.asarray(metal)):
        brightest = float(window.to_hu(jnp.max(image)))
        raise ValueError(
            f"nothing in the image is brighter than operator.metal_threshold={threshold_hu:g} HU, its brightest pixel "
            f"is {brightest:.0f} HU; lower the threshold, or choose an image with metal"
        )
    transform = operator.transform
    masked = LinearOperator(operator.mask * mar.metal_free_mask(transform, metal), transform)
    measurement = Measurement(masked(image), masked, jnp.float32(noise_std))
    return MetalScan(measurement, None, metal[..., None], jnp.clip(image, 0, 1))


@jax.jit
def _metal_scan(key, operator, image, share, fine, beam, window, threshold_hu, noise_std):
    photon_key, noise_key = jax.random.split(key)
    relative = jnp.maximum(window.to_relative(image), 0)
    truth = window.from_relative(block_mean(relative, image.shape[0] // operator.transform.shape[0]))
    readings, y = _sinogram(photon_key, relative, share, operator, fine, beam, window)
    y = y + noise_std * jax.random.normal(noise_key, y.shape)
    uncorrected = operator.inverse(y)
    # Few views streak brighter than metal in the filtered back-projection, and blur it in the algebraic image, which
    # is not negative and hence free of streaks: metal is what both show.
    algebraic = simultaneous_iterations(operator, operator.mask * y, SEGMENTATION_ITERATIONS)
    segmented = mar.segment_metal(jnp.minimum(uncorrected, algebraic), window.from_hu(threshold_hu))
    mask = operator.mask * mar.metal_free_mask(operator.transform, segmented)
    photon_std = 1000 / (window.high - window.low) * readings.std
    model_std = model_error(LinearOperator(mask, operator.transform), y, fine, beam, window)
    std = jnp.sqrt(noise_std**2 + _mean_square(photon_std, mask) + model_std**2)
    touched = block_mean(share[..., None], FACTOR)[..., 0] > 0
    metal = jnp.maximum(segmented, touched)[..., None]
    measurement = Measurement(mask * y, operator.replace(mask=mask), std)
    return MetalScan(measurement, truth, metal, uncorrected)


def _sinogram(key, relative, share, operator, fine, beam, window) -> tuple[Readings, Array]:
    readings = polychromatic.scan(key, relative, share, fine, operator.transform.detectors, beam)
    return readings, window.sinogram(readings.water, operator.transform)


def _mean_square(values: Array, mask: Array) -> Array:
    return jnp.sum(mask * values**2) / jnp.maximum(jnp.sum(mask), 1)


def model_error(
    operator: LinearOperator,
    y: Float[Array, "views detectors"],
    fine: RayTransform,
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
        fine: transform of the simulation.
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
