"""One file of prepared slices: opens with numpy alone, holds nothing executable, and travels to another machine."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from scoreinv.datasets.slices import Slice
from scoreinv.datasets.splits import SPLITS, check_disjoint
from scoreinv.datasets.views import on_canvas
from scoreinv.formats.guard import FREE_BYTES, FileError, check_file, reading, shown
from scoreinv.formats.numpy_arrays import open_npz
from scoreinv.scans.intensity import IntensityScale

MAX_BYTES = 2**34
PACKED = "a packed file written by --mode=prepare"
LEVELS = 2**16 - 1  # images are stored as 16-bit integers: finer than any scanner's 12 bits


def write_packed(path: Path, slices: Mapping[str, Sequence[Slice]]) -> None:
    """Writes prepared slices to a compressed npz file.

    Args:
        path: file to write; ends in .npz.
        slices: the slices of every split, of any shapes; smaller ones are padded to the largest side.
    """
    pairs = [(split, item) for split in SPLITS for item in slices.get(split, ())]
    items = [item for _, item in pairs]
    side = max(max(item.image.shape) for item in items)
    arrays = {
        "images": np.stack([np.round(LEVELS * on_canvas(item.image, side)).astype(np.uint16) for item in items]),
        "shape": np.array([item.image.shape for item in items], np.int32),
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
        The slices, in the shapes they were written in; files of older versions hold squares.

    Raises:
        ValueError: no such file, not one of ours, truncated, too large, or a subject in two splits.
    """
    arrays = _read(path)
    check_disjoint(path, {name: sorted(set(arrays["subject"][arrays["split"] == name].tolist())) for name in SPLITS})
    for i in np.flatnonzero(arrays["split"] == split):
        height, width = arrays["shape"][i]
        yield Slice(
            arrays["images"][i, :height, :width].astype(np.float32) / LEVELS,
            str(arrays["subject"][i]),
            int(arrays["index"][i]),
            str(arrays["modality"][i]),
            (float(arrays["spacing"][i, 0]), float(arrays["spacing"][i, 1])),
            IntensityScale(*(float(number) for number in arrays["scale"][i])),
        )


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file, after a look at the sizes it declares."""
    names = ("images", "split", "subject", "index", "modality", "spacing", "scale")
    with reading(path, PACKED), open_npz(path, _allowed_bytes(path), PACKED) as file:
        arrays = file.read_all([*names, *(("shape",) if "shape" in set(file) else ())])
        if "shape" not in arrays:  # of an older version
            arrays["shape"] = np.tile(np.array(arrays["images"].shape[1:3], np.int32), (len(arrays["images"]), 1))
        kinds = [arrays[name].dtype.kind for name in (*names, "shape")]
        shapes = [arrays[name].shape[1:] for name in (*names[1:], "shape")]
        if arrays["images"].dtype != np.uint16 or arrays["images"].ndim != 3 or kinds[1:] != list("UUiUffi"):
            found = f"images {arrays['images'].dtype} {arrays['images'].shape}"
            raise FileError(f"{shown(path)} holds {found}; expected {PACKED}: write it again with --mode=prepare")
        if len({len(array) for array in arrays.values()}) > 1 or shapes != [(), (), (), (), (2,), (2,), (2,)]:
            raise FileError(f"{shown(path)} holds arrays of different lengths; write it again with --mode=prepare")
        if np.any((arrays["shape"] < 1) | (arrays["shape"] > arrays["images"].shape[1:])):
            raise FileError(f"{shown(path)} holds slices larger than its images; write it again with --mode=prepare")
        return arrays


def _allowed_bytes(path: Path) -> int:
    # Slices of 16 bits compress two to ten times.
    return min(MAX_BYTES, max(FREE_BYTES, 20 * check_file(path, PACKED).stat().st_size))
