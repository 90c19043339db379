"""Slices of volumes: scaled to [0, 1], without empty ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from absl import logging
from jaxtyping import Float

from scoreinv.datasets.folders import LazyVolume
from scoreinv.formats.guard import FileError
from scoreinv.scans.intensity import IntensityScale, doubts, to_unit_range


@dataclass(frozen=True)
class Slice:
    """One image and where it comes from.

    Attributes:
        image: [H, W] float32 in [0, 1].
        subject: the patient.
        index: of the slice in its volume, from inferior to superior.
        modality: "CT", "MR", "MR flair", ...; "" where the file does not say.
        spacing: (row, column) pixel spacing in mm.
        scale: maps `image` back to the scanner's unit.
    """

    image: Float[np.ndarray, "H W"]
    subject: str
    index: int
    modality: str
    spacing: tuple[float, float]
    scale: IntensityScale


@dataclass(frozen=True)
class Intensity:
    """How intensities become [0, 1], the arguments of `to_unit_range`.

    Attributes:
        preset: "ct_window", "percentile", "mean_std", "min_max" or "none".
        window: "ct_window": HU mapped to 0 and 1.
        percentiles: "percentile": of all values to 0, of the foreground to 1.
    """

    preset: str = "percentile"
    window: tuple[float, float] = (-1024.0, 1024.0)
    percentiles: tuple[float, float] = (0.0, 99.5)


@dataclass(frozen=True)
class Foreground:
    """Which slices hold enough to be worth training on.

    Attributes:
        threshold: intensity in [0, 1] above which a pixel counts.
        fraction: of a slice's pixels that must count.
    """

    threshold: float = 0.1
    fraction: float = 0.05


def volume_slices(volume: LazyVolume, intensity: Intensity, foreground: Foreground) -> Iterator[Slice]:
    """Reads a volume and scales it to [0, 1] as a whole.

    Args:
        volume: the volume; the slices it names, or those that are not all but empty.
        intensity: the scaling.
        foreground: what is not all but empty.

    Yields:
        Its slices, at the resolution of the file.

    Raises:
        ValueError: a file that cannot be read, or intensities that the preset does not take.
    """
    read = volume.read()
    for note in (*read.notes, *doubts(read.values, intensity.preset, *intensity.window)):
        _say_once(note, volume.subject)
    try:
        scaled, scale = to_unit_range(read.values, intensity.preset, *intensity.window, intensity.percentiles)
    except ValueError as error:
        raise FileError(f"subject {volume.subject!r}: {error}") from error
    for index in volume.chosen(read) if volume.chosen else range(len(scaled)):
        if volume.chosen or np.mean(scaled[index] > foreground.threshold) >= foreground.fraction:
            yield Slice(scaled[index], volume.subject, index, read.modality, read.spacing, scale)


_SAID: set[str] = set()


def _say_once(note: str, subject: str) -> None:
    """Logs what is said about a volume, for the first volume that it is said about."""
    if note not in _SAID:
        _SAID.add(note)
        logging.warning("subject %s and perhaps others: %s", subject, note)
