"""Which slices are compared: spread over the subjects of a split, the same at every call."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Subset(NamedTuple):
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

    def means(self) -> dict[str, float]:
        """The mean of each slice by its name: what a run that goes on knows its data by, whatever machine read them."""
        named = zip(self.names, self.images, strict=True)
        return {
            f"the mean of slice {index} of {subject}, volume {volume},": round(float(image.mean()), 2)
            for (subject, volume, index), image in named
        }


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
