"""Training batches from disk by grain: shuffled, split over processes, in random views, resumable."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import grain
import numpy as np
from jaxtyping import Float

from scoreinv.datasets.slices import Slice
from scoreinv.datasets.views import Views, random_view


@runtime_checkable
class RandomAccess(Protocol):
    """A sequence of slices, in memory or on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Slice: ...


def random_crop(rng: np.random.Generator, image: Float[np.ndarray, "H W"], crop: int) -> Float[np.ndarray, "_ _ 1"]:
    """A random square [crop, crop, 1] of an image."""
    row, column = (rng.integers(0, side - crop + 1) for side in image.shape)
    return np.ascontiguousarray(image[row : row + crop, column : column + crop, None])


@dataclass(frozen=True)
class Stream:
    """How batches come from disk.

    Attributes:
        batch_size: images a batch of this process.
        crop: side of the images.
        threads: that read and draw views.
        seed: of order and views.
        process: number of this process.
        processes: how many there are.
    """

    batch_size: int
    crop: int
    threads: int = 1
    seed: int = 0
    process: int = 0
    processes: int = 1


def training_batches(source: RandomAccess, views: Views, stream: Stream) -> grain.DatasetIterator:
    """An endless iterator over batches; its state is one number, saved with every checkpoint.

    Every choice is a function of (seed, position), so an iterator set to a saved state goes on as if never stopped.
    Together the processes see every slice once an epoch.

    Args:
        source: the slices, by random access.
        views: which views of them.
        stream: how many at once, and which of them this process gets.

    Returns:
        Iterator over float32 arrays [batch_size, crop, crop, 1].

    Raises:
        ValueError: fewer slices than processes.
    """
    count, processes = len(source), stream.processes
    if count < processes:
        raise ValueError(f"{count} training slices for {processes} processes; add volumes or use fewer processes")

    def cut_out(item: Slice, rng: np.random.Generator) -> np.ndarray:
        return random_crop(rng, random_view(rng, item.image, views), stream.crop)

    slices = grain.MapDataset.source(source).seed(stream.seed).shuffle().random_map(cut_out)
    batches = slices[stream.process :: processes].repeat().batch(stream.batch_size)
    options = grain.ReadOptions(num_threads=stream.threads, prefetch_buffer_size=stream.threads)
    return iter(batches.to_iter_dataset(options))


def random_access(slices: Iterable[Slice]) -> RandomAccess:
    """Slices with random access: themselves, or a list of what an iterator yields."""
    return slices if isinstance(slices, RandomAccess) else list(slices)
