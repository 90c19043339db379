"""Configuration to volumes, splits and slices: every function takes the `data` section."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from scoreinv.build.memory import check_memory
from scoreinv.build.names import choose
from scoreinv.datasets.folders import LazyVolume, folder_volumes
from scoreinv.datasets.layouts import brats_volumes, ldct_volumes, lidc_volumes
from scoreinv.datasets.packing import read_packed
from scoreinv.datasets.phantom_subjects import phantom_volumes
from scoreinv.datasets.slices import Foreground, Intensity, Slice, volume_slices
from scoreinv.datasets.splits import Splits
from scoreinv.datasets.views import Views, random_view, squared

SOURCES: dict[str, Callable[..., list[LazyVolume]]] = {
    "brats": lambda data: brats_volumes(data.folders),
    "folder": lambda data: folder_volumes(data.folders, data.subject_pattern, data.key, data.slice_axis),
    "ldct": lambda data: ldct_volumes(data.folders),
    "lidc": lambda data: lidc_volumes(data.folders),
    "phantom": lambda data: phantom_volumes(data.phantoms, data.packed_size),
}


def volumes(data) -> list[LazyVolume]:
    """The volumes of `data.source`, none of them read yet.

    Raises:
        ValueError: unknown source, or nothing in the folders.
    """
    return choose(SOURCES, data.source, "data.source")(data)


def splits(data) -> Splits:
    """Which subjects train, validate and test."""
    named = tuple(data.validation_subjects), tuple(data.test_subjects)
    return Splits(data.validation_fraction, data.test_fraction, *named)


def volume_reader(data) -> Callable[[LazyVolume], Iterator[Slice]]:
    """A function from a volume to its slices, scaled and chosen as `data` says."""
    intensity = Intensity(data.intensity, tuple(data.window), tuple(data.percentiles))
    return partial(
        volume_slices, intensity=intensity, foreground=Foreground(data.foreground_threshold, data.min_foreground)
    )


def views(data) -> Views:
    """Which views of its slices a training sees."""
    return Views(data.size, tuple(data.zoom), data.rotation, data.native)


def read_slices(data, split: str) -> Iterable[Slice]:
    """The slices of one split: prepared ones if `data.packed` names any, else read from the volumes.

    Args:
        data: the `data` section.
        split: "train", "validation" or "test".

    Returns:
        The slices; a dataset's have random access and stay on disk.

    Raises:
        ValueError: no file, or one that cannot be read.
    """
    if not data.packed:
        return read_volumes(data, volumes(data), split)
    if Path(data.packed).is_dir():
        from scoreinv.datasets.array_records import ArrayRecordSlices  # tensorflow-datasets loads slowly

        return ArrayRecordSlices(Path(data.packed), split)
    return read_packed(Path(data.packed), split)


def read_volumes(data, every: Sequence[LazyVolume], split: str) -> Iterator[Slice]:
    """The slices of those volumes whose subjects are in a split."""
    split_of, read = splits(data).of, volume_reader(data)
    wanted = [volume for volume in every if split_of(volume.subject) == split]
    for volume in tqdm(wanted, desc=f"reading {split} volumes", unit="volume"):
        yield from read(volume)


def split_slices(data, split: str) -> list[Slice]:
    """Every slice of one split, at its own resolution.

    Raises:
        ValueError: no file, one that cannot be read, or no subject falls into the split.
    """
    return list(_not_empty(read_slices(data, split), data, split))


def square_slices(data, split: str, size: int) -> list[Slice]:
    """Every slice of one split on a square of `size` pixels; raises as `split_slices`."""
    items: list[Slice] = []
    for item in _not_empty(read_slices(data, split), data, split):
        check_memory((len(items) + 1, size, size), "lower data.size or operator.oversample, or give fewer subjects")
        items.append(squared(item, size))
    return items


def training_views(data, seed: int) -> Float[np.ndarray, "N size size 1"]:
    """`data.views` random views of every training slice.

    Raises:
        ValueError: as `split_slices`.
    """
    rng, drawn = np.random.default_rng(seed), views(data)
    found: list[np.ndarray] = []
    for item in _not_empty(read_slices(data, "train"), data, "train"):
        check_memory((len(found) + data.views, data.size, data.size), "lower data.views, or data.on_device=False")
        found += [random_view(rng, item.image, drawn) for _ in range(data.views)]
    return np.stack(found)[..., None]


def _not_empty(items: Iterable[Slice], data, split: str) -> Iterator[Slice]:
    count = 0
    for item in items:
        yield item
        count += 1
    if not count:
        raise ValueError(nothing_in(data, split, bool(data.packed)))


def nothing_in(data, split: str, prepared: bool = False) -> str:
    """Why a split has no slice, and the usual fix.

    Args:
        data: the `data` section.
        split: "train", "validation" or "test".
        prepared: whether the slices are those of `data.packed`.
    """
    if prepared:
        return f"{data.packed!r} holds no slice of split {split!r}; prepare more volumes or name subjects"
    inside = {volume.subject for volume in volumes(data) if splits(data).of(volume.subject) == split}
    if not inside:
        return f"no subject of {describe(data)} falls into split {split!r}; add volumes or name subjects"
    return (
        f"no slice is left of the {len(inside)} subjects of split {split!r}: less than data.min_foreground="
        f"{data.min_foreground:g} of each lies above data.foreground_threshold={data.foreground_threshold:g}; lower one"
    )


def describe(data) -> str:
    """Where the slices come from, for messages."""
    return repr(data.packed) if data.packed else f"source {data.source!r} ({', '.join(data.folders)})"
