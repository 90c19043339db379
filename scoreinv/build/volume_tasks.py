"""Volumes: what a configuration asks to reconstruct of many slices, measured one at a time."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import logging

from scoreinv import build
from scoreinv.build.scans import say, slices_of
from scoreinv.build.tasks import fitted_prior, image_shape
from scoreinv.datasets.examples import EXAMPLES
from scoreinv.formats.guard import FileError, shown
from scoreinv.formats.images import read_image
from scoreinv.formats.volume import Geometry
from scoreinv.operators.base import LinearOperator, Measurement, check_measurement
from scoreinv.prior import Prior
from scoreinv.scans.intensity import doubts, intensity_scale
from scoreinv.typing import Image


@dataclass(frozen=True)
class VolumeTask:
    """The slices of one volume under one operator.

    Attributes:
        name: names its files.
        indices: of the slices in their file, in order.
        measured: position in `indices` -> (the measurement, the true image or None).
        shape: (H, W, C) of a slice.
        operator: name of the operator, as "4x"; "" of a measurement.
        own: whether each slice has a transform of its own (coil maps).
        scale: an image x in [0, 1] is `scale * x + offset` in `unit`.
        offset: see `scale`.
        unit: of the file, "HU" or "".
        geometry: where the slices lie; None where nothing says it.
        spacing: (row, column) pixel spacing in mm, where known.
    """

    name: str
    indices: tuple[int, ...]
    measured: Callable[[int], tuple[Measurement, Image | None]]
    shape: tuple[int, int, int]
    operator: str = ""
    own: bool = False
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    geometry: Geometry | None = None
    spacing: tuple[float, float] | None = None


def parse_slices(text: str, count: int, name: str) -> tuple[int, ...]:
    """The slices in "all", "first:end" or "first:end:step".

    Args:
        text: as in Python, `end` not included.
        count: slices there are.
        name: of the file, for messages.

    Raises:
        ValueError: another form, or no slice in it.
    """
    match = re.fullmatch(r"(\d*):(\d*)(?::(\d+))?", text)
    if text == "all":
        return tuple(range(count))
    if not match:
        raise ValueError(
            f'slices={text!r} of {name!r}; write first:end or first:end:step, or "all", as in slices=20:60'
        )
    first, end = int(match[1] or 0), int(match[2] or count)
    if end > count:
        raise ValueError(f"slices={text!r} of {name!r} with {count} slices; give an end of at most {count}")
    if match[3] and not int(match[3]):
        raise ValueError(f"slices={text!r} of {name!r}; give a step of at least 1")
    chosen = tuple(range(first, end, int(match[3] or 1)))
    if not chosen:
        raise ValueError(f"slices={text!r} of {name!r} names no slice; give first < end")
    return chosen


def volume_task(config) -> tuple[Prior, VolumeTask]:
    """The prior and the volume of a configuration.

    Args:
        config: the configuration: `slices`, and one of `images` or `measurement`.

    Raises:
        ValueError: anything wrong with the file, the slices or the prior; several images or operators.
    """
    prior = build.load_prior(config.prior, config.sampler.remat)
    if config.measurement:
        task = _measured_volume(config)
    elif len(config.images) == 1:
        task = _simulated_volume(config)
    else:
        raise ValueError(f"slices={config.slices!r} with {len(config.images)} images; give one volume a run")
    return fitted_prior(config, prior, task.shape), task


def _simulated_volume(config) -> VolumeTask:
    """An image file, measured as `operator` says; each slice with noise of its own."""
    name = config.images[0]
    if name in EXAMPLES:
        raise ValueError(f"slices={config.slices!r}, but {name!r} is one slice; give a volume file")
    if config.operator.modality not in build.MODALITIES or config.operator.modality in build.SCANS:
        raise ValueError(
            f"operator.modality={config.operator.modality!r} is simulated slice by slice; leave `slices` empty"
        )
    volume, data = read_image(name, config.data.key, slices=config.data.slice_axis), config.data
    try:
        low, high = data.window
        scale = intensity_scale(volume.values, data.intensity, low, high, tuple(data.percentiles))
    except ValueError as error:
        raise FileError(f"{shown(name)}: {error}") from error
    for note in (*volume.notes, *doubts(volume.values, data.intensity, *data.window)):
        logging.warning("%s: %s", name, note)
    chosen = parse_slices(config.slices, len(volume.values), name)
    shape = (*volume.values.shape[1:], 1)
    mask_key, noise_key = jax.random.split(jax.random.key(config.seed), 3)[:2]
    operators = build.operators(config.operator, shape, mask_key)
    if len(operators) > 1:
        labels = " and ".join(label for label, _ in operators)
        raise ValueError(f'a volume takes one of {labels}; give it, as in --config.operator.acceleration="(4.0,)"')
    label, operator = operators[0]
    scanner = jax.jit(build.scanner(config, operator, shape))

    def measured(position: int):
        index = chosen[position]
        made = scanner(
            jax.random.fold_in(noise_key, index), jnp.asarray(scale.to_unit(volume.values[index])[..., None])
        )
        return made.measurement._replace(
            operator=LinearOperator(made.measurement.operator.mask, operator.transform)
        ), made.truth

    stem, geometry = Path(name).name.split(".")[0], volume.geometry and of_slices(volume.geometry, chosen)
    return VolumeTask(
        f"{stem}-{label}", chosen, measured, shape, label,
        scale=scale.scale, offset=scale.offset, unit=volume.unit, geometry=geometry, spacing=volume.spacing,
    )  # fmt: skip


def _measured_volume(config) -> VolumeTask:
    """A file of several slices of scanner data; all are divided by one number, that of the middle one."""
    path = Path(config.measurement)
    if config.scan.retrospective:
        raise ValueError("scan.retrospective is for one slice a run; leave `slices` empty and give slice_index")
    count, scan_at = slices_of(path, config)
    chosen = parse_slices(config.slices, count, path.name)
    middle = scan_at(chosen[len(chosen) // 2])
    say(middle)
    shape = image_shape(middle.measurement)
    coils = getattr(middle.measurement.operator.transform, "coils", None)
    # Of all slices as many sets of sensitivities as of the middle one: each set is an image.
    sets = {} if coils is None else {"sets": coils.shape[0] if coils.ndim == 4 else 1}

    def measured(position: int):
        try:
            scan = scan_at(chosen[position], **sets)
        except ValueError as error:
            raise ValueError(f"slice {chosen[position]} of {path.name!r}: {error}; give `slices` without it") from error
        y, operator, noise_std = scan.measurement
        factor = scan.scale / middle.scale
        if image_shape(scan.measurement) != shape:
            raise ValueError(
                f"slice {chosen[position]} of {path.name!r} has another size than the middle one; give a range of one"
            )
        check_measurement(scan.measurement, shape)
        return Measurement(factor * y, operator, factor * noise_std), None

    return VolumeTask(
        f"{path.name.split('.')[0]}", chosen, measured, shape, "", True,
        middle.scale, middle.offset, middle.unit, middle.geometry, middle.spacing,
    )  # fmt: skip


def of_slices(geometry: Geometry, chosen: tuple[int, ...]) -> Geometry:
    """The geometry of some slices, evenly apart."""
    first, step = chosen[0], (chosen[1] - chosen[0] if len(chosen) > 1 else 1)
    affine = geometry.affine.copy()
    affine[:3, 3] += first * affine[:3, 0]
    affine[:3, 0] *= step
    sources = tuple(geometry.sources[i] for i in chosen) if len(geometry.sources) > 1 else geometry.sources
    return dataclasses.replace(geometry, affine=affine, sources=sources)
