"""Training slices made of formulas, for tests and training without data."""

from functools import partial

import jax
import numpy as np

from scoreinv.datasets.folders import LazyVolume
from scoreinv.formats.volume import Volume
from scoreinv.simulation.phantoms import random_ellipses, shepp_logan_variant


def phantom_volumes(count: int, size: int) -> list[LazyVolume]:
    """Subjects made of formulas: random ellipses, every fourth subject Shepp-Logan variants, four slices each.

    Args:
        count: number of subjects.
        size: side of their slices.
    """
    return [LazyVolume(f"phantom-{i}", partial(_phantom_volume, i, size)) for i in range(count)]


def _phantom_volume(number: int, size: int) -> Volume:
    make = shepp_logan_variant if number % 4 == 3 else random_ellipses
    keys = jax.random.split(jax.random.key(number), 4)
    return Volume(np.stack([np.asarray(make(key, (size, size)))[..., 0] for key in keys]))
