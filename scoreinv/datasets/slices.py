"""The images of one split, in memory: from a folder of volumes or from prepared slices."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scoreinv.datasets.folders import Scan, Slice, folder_scans, scan_slices
from scoreinv.datasets.packing import read_packed
from scoreinv.datasets.splits import assigned_split
from scoreinv.datasets.views import random_view, view

Source = Callable[..., Sequence[Scan]]


@dataclass(frozen=True)
class SliceSet:
    """Images of one split.

    Attributes:
        images: [N, H, W, 1] float32 in [0, 1].
        subjects: the subject of each image.
        indices: the slice index of each image in its volume.
    """

    images: np.ndarray
    subjects: tuple[str, ...]
    indices: tuple[int, ...]


def read_slices(data, split: str, source: Source = folder_scans) -> Iterable[Slice]:
    """The slices of one split: prepared ones if `data.packed` names any, else read from the files of `source`.

    Args:
        data: the `data` section of the configuration.
        split: "train", "validation" or "test".
        source: data -> scans; where `data.packed` is empty.

    Returns:
        The slices; a dataset's have random access and stay on disk.

    Raises:
        ValueError: no file, or one that cannot be read.
    """
    if not data.packed:
        return _read_scans(source(data), data, split)
    if Path(data.packed).is_dir():
        from scoreinv.datasets.array_records import SliceSource  # tensorflow-datasets loads slowly

        return SliceSource(Path(data.packed), split)
    return read_packed(Path(data.packed), split)


def _read_scans(scans: Sequence[Scan], data, split: str) -> Iterator[Slice]:
    wanted = [scan for scan in scans if assigned_split(scan.subject, data) == split]
    for scan in tqdm(wanted, desc=f"reading {split} volumes", unit="volume"):
        yield from scan_slices(scan, data)


def load_slices(data, split: str, seed: int = 0, source: Source = folder_scans) -> SliceSet:
    """Reads every slice of one split; the training split in augmented views, the others once, as they are.

    Args:
        data: the `data` section of the configuration; `packed` names what `--mode=prepare` wrote, else `folders` are
            read.
        split: "train", "validation" or "test".
        seed: seed of the augmentation.
        source: data -> scans; where `data.packed` is empty.

    Returns:
        The images of the split.

    Raises:
        ValueError: no file, one that cannot be read, or no subject falls into the split.
    """
    rng = np.random.default_rng(seed)
    images, subjects, indices = [], [], []
    for item in read_slices(data, split, source):
        for _ in range(data.views if split == "train" else 1):
            images.append(random_view(rng, item.image, data) if split == "train" else view(item.image, data.size))
            subjects.append(item.subject)
            indices.append(item.index)
    if not images:
        raise ValueError(f"no subject of {describe(data)} falls into split {split!r}; add volumes or name subjects")
    return SliceSet(np.stack(images)[..., None], tuple(subjects), tuple(indices))


def describe(data) -> str:
    """Where the slices come from, for messages."""
    return repr(data.packed) if data.packed else f"source {data.source!r} ({', '.join(data.folders)})"
