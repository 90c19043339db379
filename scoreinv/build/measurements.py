"""Configuration to measurement operators and simulated measurements."""

from collections.abc import Callable

from scoreinv.build.ct_operators import ct_operators
from scoreinv.build.names import choose
from scoreinv.operators import mri, mri_masks
from scoreinv.operators.base import LinearOperator, block_mean, simulate
from scoreinv.scans.masks import read_mask
from scoreinv.simulation import implants, metal
from scoreinv.simulation.polychromatic import HounsfieldWindow
from scoreinv.simulation.scanner import Scanner as Scanner
from scoreinv.simulation.scanner import Simulated as Simulated


def _mri_operators(config, shape, key, shared) -> list[tuple[str, LinearOperator]]:
    masks = {
        "equispaced": lambda r: mri_masks.equispaced_mask(shape[:2], r, config.center_fraction),
        "radial": lambda r: _diameters(shape[:2], r),
        "random": lambda r: mri_masks.random_mask(key, shape[:2], r, config.center_fraction),
        "variable_density": lambda r: mri_masks.variable_density_mask(key, shape[:2], r, config.center_fraction),
    }
    transform = mri.FourierTransform(shape[2])
    if config.mask.endswith(".npy"):
        return [("own-mask", LinearOperator(read_mask(config.mask, shape[:2]), transform))]
    make = choose(masks, config.mask, "operator.mask for mri")
    return [(f"{r:g}x", LinearOperator(make(r), transform)) for r in config.acceleration]


def _diameters(shape: tuple[int, int], acceleration: float):
    """As many diameters of k-space as Cartesian lines would be measured."""
    if not 1 <= acceleration <= shape[1]:
        raise ValueError(f"acceleration {acceleration:g} of {shape[1]} lines; give 1 to {shape[1]}")
    return mri_masks.radial_mask(shape, round(shape[1] / acceleration))


# `operator.metal` of images that hold metal already.
OWN_METAL = "own"


def holds_metal(section) -> bool:
    """Whether a `config.operator` section takes images with metal in them, brighter than any window."""
    return section.modality in SCANS and section.metal == OWN_METAL


# A scan with metal starts from the views of a CT scan; `SCANS` leaves the rays through metal out.
MODALITIES = {"ct": ct_operators, "mar": ct_operators, "mri": _mri_operators}


def operators(config, shape: tuple[int, int, int], key, shared: bool = False) -> list[tuple[str, LinearOperator]]:
    """The measurement operators of a `config.operator` section for images of one shape, each with a short name.

    Args:
        config: the section.
        shape: (H, W, C) of the image.
        key: PRNG key of random masks.
        shared: whether operators of other masks, accelerations and numbers of views are to have the same transform, so
            that one compiled program takes them all.

    Returns:
        One (name, operator) for each acceleration or number of views.
    """
    return choose(MODALITIES, config.modality, "operator.modality")(config, shape, key, shared)


def _subsampled(config, operator: LinearOperator, shape) -> Scanner:
    oversample = config.operator.oversample

    def measure(key, image):
        measurement = simulate(key, operator, image, config.operator.noise_std, oversample)
        return Simulated(block_mean(image, oversample), measurement)

    return measure


def _metal_scanner(config, operator: LinearOperator, shape) -> Scanner:
    section, window = config.operator, HounsfieldWindow(*config.data.window)
    if config.data.intensity != "ct_window":
        raise ValueError(
            f"metal is simulated in Hounsfield units, data.intensity={config.data.intensity!r} has none; set ct_window"
        )
    if holds_metal(section):
        return _own_metal_scanner(section, operator, window)
    if implants.FACTOR % section.oversample:
        raise ValueError(f"operator.oversample={section.oversample}; mar simulates 2 pixels in 1: give 1 or 2")
    pixel_mm = section.field_of_view / max(shape[:2])
    beam = metal.beam(section.kvp, section.metal_material, section.photons, pixel_mm)
    share = implants.metal_share(
        implants.read_shape(section.metal), shape[:2], pixel_mm, section.metal_size, section.metal_centre
    )

    def measure(key, image):
        scan = metal.metal_scan(key, operator, image, share, beam, window, section.metal_threshold, section.noise_std)
        return Simulated(scan.truth, scan.measurement, scan.metal, scan.uncorrected)

    return measure


def _own_metal_scanner(section, operator: LinearOperator, window: HounsfieldWindow) -> Scanner:
    if section.oversample != 1:
        raise ValueError(f"operator.oversample={section.oversample}; an image's own metal is measured as it is: give 1")

    def measure(key, image):
        scan = metal.reprojected(operator, image, window, section.metal_threshold, section.noise_std)
        return Simulated(None, scan.measurement, scan.metal, scan.uncorrected)

    return measure


# How a modality is measured where that is not A x with Gaussian noise.
SCANS: dict[str, Callable[..., Scanner]] = {"mar": _metal_scanner}


def scanner(config, operator: LinearOperator, shape: tuple[int, int, int]) -> Scanner:
    """What measures images as the whole configuration says.

    Args:
        config: the whole configuration.
        operator: one of `operators(config.operator, ...)`.
        shape: (H, W, C) of the reconstructions.

    Returns:
        (key, image) -> the measurement and what belongs to it.

    Raises:
        ValueError: settings of the scan that make no sense, before anything is measured.
    """
    return SCANS.get(config.operator.modality, _subsampled)(config, operator, shape)
