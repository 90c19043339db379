"""One file of prepared slices: opens with numpy alone, holds nothing executable, and travels to another machine."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from scoreinv.datasets.folders import Slice
from scoreinv.datasets.splits import SPLITS, check_disjoint
from scoreinv.formats.volume import ImageError
from scoreinv.scans.intensity import IntensityScale

MAX_GIB = 64.0
LEVELS = 2**16 - 1  # images are stored as 16-bit integers: finer than any scanner's 12 bits


def write_packed(path: Path, slices: Mapping[str, Sequence[Slice]]) -> None:
    """Writes prepared slices to a compressed npz file.

    Args:
        path: file to write; ends in .npz.
        slices: the slices of every split, images [S, S] of one size S.
    """
    pairs = [(split, item) for split in SPLITS for item in slices.get(split, ())]
    items = [item for _, item in pairs]
    arrays = {
        "images": np.stack([np.round(LEVELS * item.image).astype(np.uint16) for item in items]),
        "split": np.array([split for split, _ in pairs]),
        "subject": np.array([item.subject for item in items]),
        "index": np.array([item.index for item in items], np.int32),
        "modality": np.array([item.modality for item in items]),
        "spacing": np.array([item.spacing for item in items], np.float32),
        "scale": np.array([(item.scale.scale, item.scale.offset) for item in items], np.float32),
    }
    np.savez_compressed(path, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def read_packed(path: Path, split: str) -> Iterator[Slice]:
    """The slices of one split of a file that `write_packed` wrote.

    Args:
        path: the file.
        split: "train", "validation" or "test".

    Yields:
        The slices, images [S, S].

    Raises:
        ValueError: no such file, not one of ours, truncated, too large, or a subject in two splits.
    """
    arrays = _read(path)
    check_disjoint(path, {name: sorted(set(arrays["subject"][arrays["split"] == name].tolist())) for name in SPLITS})
    for i in np.flatnonzero(arrays["split"] == split):
        yield Slice(
            arrays["images"][i].astype(np.float32) / LEVELS,
            str(arrays["subject"][i]),
            int(arrays["index"][i]),
            str(arrays["modality"][i]),
            (float(arrays["spacing"][i, 0]), float(arrays["spacing"][i, 1])),
            IntensityScale(*(float(number) for number in arrays["scale"][i])),
        )


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file, after a look at the sizes it declares."""
    if not path.is_file():
        raise ImageError(f"packed file {str(path)!r} does not exist; write it with --mode=prepare")
    names = ("images", "split", "subject", "index", "modality", "spacing", "scale")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(path, [archive.getinfo(f"{name}.npy") for name in names])
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names}
    except ImageError:
        raise
    except Exception as error:  # damage makes zipfile, zlib and numpy raise almost anything
        message = " ".join(str(error).split())
        raise ImageError(
            f"{str(path)!r} is no packed file or is damaged ({message}); write it again with --mode=prepare"
        ) from error
    images, count = arrays["images"], len(arrays["images"])
    if images.dtype != np.uint16 or images.ndim != 3 or any(len(a) != count for a in arrays.values()):
        raise ImageError(
            f"{str(path)!r} holds images {images.dtype} {images.shape}; write it again with --mode=prepare"
        )
    return arrays


def _check_size(path: Path, members: list[zipfile.ZipInfo]) -> None:
    gib = sum(member.file_size for member in members) / 2**30
    if gib > MAX_GIB:
        raise ImageError(f"{str(path)!r} declares {gib:.3g} GiB; allowed: up to {MAX_GIB:g} GiB: make it smaller")
