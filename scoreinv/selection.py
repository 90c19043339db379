"""Which slices are compared: of one split, spread over its subjects, the same at every call."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from scoreinv import build
from scoreinv.data.slices import load_slices

SPLITS = ("test", "validation")


class Slices(NamedTuple):
    """The true images of a comparison.

    Attributes:
        images: [N, s H, s W, 1] in [0, 1], `oversample` = s times finer than what is reconstructed.
        names: (subject, volume, slice) of each; `volume` counts those of a subject that have the slice.
        oversample: pixels of the object per pixel of the reconstruction and axis.
    """

    images: Float[np.ndarray, "N H W 1"]
    names: tuple[tuple[str, int, int], ...]
    oversample: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the reconstructions."""
        return (self.images.shape[1] // self.oversample, self.images.shape[2] // self.oversample, 1)


def choose_slices(config, split: str, count: int) -> Slices:
    """Slices of a split, the same at every call.

    Args:
        config: the configuration; `data` names the files and the image side, `operator.oversample` the finer object.
        split: "test" or "validation".
        count: number of slices, spread over the subjects; 0: all.

    Raises:
        ValueError: no such split, nothing in it, or a negative count.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown evaluate.split {split!r}; choose one of {', '.join(SPLITS)}")
    if count < 0:
        raise ValueError(f"{count} slices; give a number of slices, or 0 for all")
    oversample = max(1, config.operator.oversample)
    data = ConfigDict(config.data)
    data.size = config.data.size * oversample
    every = load_slices(data, split, 0, build.source(data))
    seen: dict[tuple[str, int], int] = {}
    names = []
    for subject, index in zip(every.subjects, every.indices, strict=True):
        seen[subject, index] = seen.get((subject, index), -1) + 1
        names.append((subject, seen[subject, index], index))
    chosen = spread(every.subjects, count or len(names))
    return Slices(every.images[chosen], tuple(names[i] for i in chosen), oversample)


def spread(subjects: Sequence[str], count: int) -> list[int]:
    """Indices of `count` slices: as even over the subjects as their numbers allow, evenly spaced within each."""
    own = {subject: [i for i, s in enumerate(subjects) if s == subject] for subject in dict.fromkeys(subjects)}
    shares = dict.fromkeys(own, 0)
    left = min(count, len(subjects))
    while left:
        unfinished = [subject for subject in own if shares[subject] < len(own[subject])]
        n = min(left, len(unfinished))
        for i in range(n):
            shares[unfinished[int((i + 0.5) * len(unfinished) / n)]] += 1
        left -= n
    return sorted(own[s][int((i + 0.5) * len(own[s]) / n)] for s, n in shares.items() for i in range(n))
