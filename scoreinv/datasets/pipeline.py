"""Training batches from disk by grain: shuffled, split over processes, augmented, resumable."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import grain
import numpy as np

from scoreinv.datasets.folders import Slice
from scoreinv.datasets.views import random_view


@runtime_checkable
class RandomAccess(Protocol):
    """A sequence of slices, in memory or on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Slice: ...


def random_crop(rng: np.random.Generator, image: np.ndarray, crop: int, flip: bool) -> np.ndarray:
    """A random square of an image, mirrored along each axis half of the time.

    Args:
        rng: source of the choice.
        image: [H, W].
        crop: side of the square.
        flip: whether to mirror.

    Returns:
        [crop, crop, 1].
    """
    row, column = (rng.integers(0, side - crop + 1) for side in image.shape)
    patch = image[row : row + crop, column : column + crop, None]
    for axis in (0, 1):
        if flip and rng.uniform() < 0.5:
            patch = np.flip(patch, axis)
    return np.ascontiguousarray(patch)


def training_batches(
    source: RandomAccess, data, batch_size: int, seed: int = 0, process: int = 0, processes: int = 1
) -> grain.DatasetIterator:
    """An endless iterator over batches; its state is one number, saved with every checkpoint.

    Every choice is a function of (seed, position), so an iterator set to a saved state goes on as if never stopped.
    Together the processes see every slice once an epoch.

    Args:
        source: the slices, by random access.
        data: the `data` section of the configuration.
        batch_size: images a batch of this process.
        seed: seed of order and augmentation.
        process: number of this process.
        processes: how many there are.

    Returns:
        Iterator over float32 arrays [batch_size, crop, crop, 1].

    Raises:
        ValueError: fewer slices than processes.
    """
    if len(source) < processes:
        raise ValueError(f"{len(source)} training slices for {processes} processes; add volumes or use fewer processes")

    def augment(item: Slice, rng: np.random.Generator) -> np.ndarray:
        return random_crop(rng, random_view(rng, item.image, data), data.crop, data.flip)

    slices = grain.MapDataset.source(source).seed(seed).shuffle().random_map(augment)
    batches = slices[process::processes].repeat().batch(batch_size)
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=data.threads, prefetch_buffer_size=data.threads)))


def random_access(slices: Iterable[Slice]) -> RandomAccess:
    """Slices with random access: themselves, or a list of what an iterator yields."""
    return slices if isinstance(slices, RandomAccess) else list(slices)
