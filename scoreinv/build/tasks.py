"""Tasks: what a configuration asks to reconstruct, at the matrix of its data. All input is checked here."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Float

from scoreinv import build
from scoreinv.build.memory import check_memory
from scoreinv.build.scans import read_scan, retrospective_scans
from scoreinv.datasets.examples import EXAMPLES
from scoreinv.datasets.resizing import resize
from scoreinv.formats.guard import FileError, shown
from scoreinv.formats.images import read_image
from scoreinv.formats.volume import Geometry
from scoreinv.operators.base import Measurement, check_measurement
from scoreinv.prior import Prior, padded
from scoreinv.scans.intensity import IntensityScale, doubts, intensity_scale
from scoreinv.scans.scan import Scan
from scoreinv.typing import Image


class Task(NamedTuple):
    """One image under one operator.

    Attributes:
        scan: what the methods get, and all they get; its name is the task's.
        truth: the image in [0, 1], where the measurement was simulated from one.
        intensity: maps that image back to the unit of its file.
        unit: of the image's file, where `intensity` is given.
        operator: name of the operator, as "4x"; "" of a measurement.
    """

    scan: Scan
    truth: Float[Array, "H W C"] | None = None
    intensity: IntensityScale | None = None
    unit: str = ""
    operator: str = ""

    @property
    def name(self) -> str:
        """Names its rows and figure."""
        return self.scan.name

    @property
    def metal(self) -> Image | None:
        """1 on pixels of metal [H, W, 1]."""
        return self.scan.metal

    @property
    def measurement(self) -> Measurement:
        """The data, scaled so that the image lies in [0, 1]."""
        return self.scan.measurement


class LoadedImage(NamedTuple):
    """One slice of an image file.

    Attributes:
        image: [H, W, 1] in [0, 1].
        scale: maps it back to the file's unit.
        geometry: where it lies, where the file says so.
        unit: of the file's values, "HU" or "".
        spacing: (row, column) pixel spacing in mm; None where the file does not say.
    """

    image: Float[np.ndarray, "H W 1"]
    scale: IntensityScale
    geometry: Geometry | None
    unit: str = ""
    spacing: tuple[float, float] | None = None


def make_tasks(config) -> tuple[Prior, list[Task]]:
    """The prior and the tasks of a configuration without parts.

    Args:
        config: the configuration.

    Returns:
        (prior, tasks); the prior is made complex where the measurement is of a complex image.

    Raises:
        ValueError: anything wrong with images, masks, measurements or the prior.
    """
    prior = build.load_prior(config.prior, config.sampler.remat)
    if config.measurement:
        path = Path(config.measurement)
        scans = retrospective_scans(path, config) if config.scan.retrospective else [(read_scan(path, config), None)]
        _check_unit(config, scans[0][0])
        shape = image_shape(scans[0][0].measurement)
        prior = fitted_prior(config, prior, shape)
        _say_resolution(prior, shape)
        tasks = [Task(scan, image) for scan, image in scans]
    else:
        tasks = [task for name in config.images for task in _simulated(config, name)]
        prior = build.fit_channels(padded(prior), image_shape(tasks[0].measurement)[2], config.sampler.complex_prior)
    for task in tasks:
        check_measurement(task.measurement, image_shape(task.measurement))
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(
            f"two tasks are called {max(names, key=names.count)}; rename the image file or drop the double"
        )
    return prior, tasks


def _check_unit(config, scan: Scan) -> None:
    """Refuses a method that goes by Hounsfield units for an image in another unit."""
    named = "nmar" in (*config.baselines, config.sampler.start)
    if named and scan.unit != "HU" and not config.baseline_settings.get("nmar"):
        raise ValueError(
            f"nmar tells air, tissue and bone by their Hounsfield units, the image of {scan.name!r} is in "
            f"{scan.unit or 'the unit of its data'}; give scan.water, or leave nmar out of baselines and sampler.start"
        )


def image_shape(measurement: Measurement) -> tuple[int, int, int]:
    """(H, W, C) of the images an operator takes."""
    return jax.eval_shape(measurement.operator.adjoint, measurement.y).shape


def fitted_prior(config, prior: Prior, shape: tuple[int, int, int]) -> Prior:
    """The prior for measured images of `shape`, which stay at their own resolution; itself where it takes them already.

    Raises:
        ValueError: another number of channels than the prior serves.
    """
    if prior.shape[2] == shape[2] and _takes(prior, shape):
        return prior
    return build.fit_channels(padded(prior), shape[2], config.sampler.complex_prior)


def _takes(prior: Prior, shape: tuple[int, int, int]) -> bool:
    """Whether the network takes images of these sides."""
    try:
        jax.eval_shape(prior.score_fn, jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((), jnp.float32))
    except ValueError:
        return False
    return True


def load_image(name: str, config) -> LoadedImage:
    """A bundled example by name, or one slice of a file, scaled as the `data` section says; what is guessed is logged.

    Raises:
        ValueError: no such example or file, one that cannot be used, or no such slice.
    """
    if name in EXAMPLES:
        example = EXAMPLES[name]()
        if example.modality == "CT":
            example = EXAMPLES[name](*config.data.window)
        return LoadedImage(example.image, example.scale, None, example.unit, example.spacing)
    if not Path(name).exists() and not Path(name).suffix:
        raise ValueError(f"unknown image {name!r}; choose one of {', '.join(sorted(EXAMPLES))}, or give a file")
    data = config.data
    volume = read_image(name, data.key, slices=data.slice_axis)
    index = len(volume.values) // 2 if config.slice_index == -1 else config.slice_index
    if not 0 <= index < len(volume.values):
        raise ValueError(
            f"slice_index={config.slice_index} of {name!r} with {len(volume.values)} slices; -1 is the middle one"
        )
    low, high = data.window
    try:
        scale = intensity_scale(volume.values, data.intensity, low, high, tuple(data.percentiles))
    except ValueError as error:
        raise FileError(f"{shown(name)}: {error}") from error
    if np.ptp(volume.values[index]) == 0:
        raise FileError(f"slice {index} of {shown(name)} holds one value only; choose another by slice_index")
    for note in (*volume.notes, *doubts(volume.values, data.intensity, low, high)):
        logging.warning("%s: %s", name, note)
    geometry = None if volume.geometry is None else volume.geometry.of_slice(index)
    clip = not build.holds_metal(config.operator)
    return LoadedImage(
        scale.to_unit(volume.values[index], clip)[..., None],
        scale,
        geometry,
        volume.unit,
        volume.spacing if geometry else None,
    )


def to_grid(image: Float[np.ndarray, "H W C"], name: str, size: int, oversample: int) -> Float[np.ndarray, "h w C"]:
    """The object that is measured: the image at its own matrix, or with its longer side resampled to `size` pixels.

    Args:
        image: as it was read.
        name: of the image, for what is logged.
        size: longer side of the reconstruction; 0: that of the image.
        oversample: pixels of the object per pixel of the reconstruction and axis.
    """
    wanted = [max(1, round(side * size / max(image.shape[:2]))) if size else side for side in image.shape[:2]]
    if wanted != list(image.shape[:2]):
        logging.warning(
            "%s is %d x %d; resampled to %d x %d for operator.size=%d", name, *image.shape[:2], *wanted, size
        )
    height, width = (oversample * side for side in wanted)
    check_memory((height, width), "lower operator.size or operator.oversample", 32)
    return image if (height, width) == image.shape[:2] else resize(image, (height, width))


def _simulated(config, name: str) -> list[Task]:
    oversample = config.operator.oversample
    if oversample < 1:
        raise ValueError(f"operator.oversample={oversample}; give 1 (the operator's own model) or a larger integer")
    loaded = load_image(name, config)
    fine = jnp.asarray(to_grid(loaded.image, name, config.operator.size, oversample))
    shape = (fine.shape[0] // oversample, fine.shape[1] // oversample, fine.shape[2])
    mask_key, noise_key = jax.random.split(jax.random.key(config.seed))
    noise_std = config.operator.noise_std
    if not 0 <= noise_std < np.inf:
        raise ValueError(f"operator.noise_std={noise_std}; give a finite standard deviation >= 0")
    stem = Path(name).name.split(".")[0]
    geometry = loaded.geometry and loaded.geometry.resampled(loaded.image.shape[:2], shape[:2])
    pixel = [old / new for old, new in zip(loaded.image.shape[:2], shape[:2], strict=True)]
    spacing = loaded.spacing and (loaded.spacing[0] * pixel[0], loaded.spacing[1] * pixel[1])
    tasks = []
    for label, operator in build.operators(config.operator, shape, mask_key):
        made = build.scanner(config, operator, shape)(noise_key, fine)
        scan = Scan(
            f"{stem}-{label}",
            made.measurement,
            spacing=spacing,
            geometry=geometry,
            metal=made.metal,
            uncorrected=made.uncorrected,
        )
        tasks.append(Task(scan, made.truth, loaded.scale, loaded.unit, label))
    return tasks


def _say_resolution(prior: Prior, shape: tuple[int, int, int]) -> None:
    if max(shape[:2]) != max(prior.shape[:2]):
        logging.warning(
            "the measurement is of %d x %d pixels, the prior was trained at %d x %d; it is applied as it is, at the "
            "measurement's resolution",
            *shape[:2],
            *prior.shape[:2],
        )
