"""Prepared slices as a tensorflow-datasets dataset of array_record files: written and read without TensorFlow."""

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from scoreinv.datasets.folders import LazyVolume
from scoreinv.datasets.packing import LEVELS
from scoreinv.datasets.slices import Slice
from scoreinv.datasets.splits import Splits, check_disjoint
from scoreinv.datasets.views import on_canvas
from scoreinv.formats.guard import FileError, reading
from scoreinv.scans.intensity import IntensityScale

FILE_FORMAT = "array_record"
PREPARED = "a dataset written by --mode=prepare"


@dataclass(frozen=True)
class Preparation:
    """What becomes of volumes on their way into a dataset.

    Attributes:
        slices: reads a volume as slices.
        side: the largest that their images have; smaller ones are padded in the files.
        splits: which subjects train, validate and test.
        settings: what else decided the content, for the dataset's metadata.
        why_empty: split -> why none of its subjects left a slice.
    """

    slices: Callable[[LazyVolume], Iterable[Slice]]
    side: int
    splits: Splits
    settings: Mapping[str, Any]
    why_empty: Callable[[str], str]


class ArrayRecordBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builds a dataset of prepared slices; its metadata names the subjects of every split.

    Args:
        volumes: the volumes to prepare.
        preparation: how they are prepared.
        data_dir: folder the dataset's own folder is made in.
    """

    VERSION = tfds.core.Version("1.1.0")  # 1.0.0 held squares, without `shape`

    def __init__(self, volumes: Sequence[LazyVolume], preparation: Preparation, data_dir: str):
        self._volumes, self._preparation = volumes, preparation
        super().__init__(data_dir=data_dir, file_format=FILE_FORMAT)

    def _info(self) -> tfds.core.DatasetInfo:
        side = self._preparation.side
        features = {
            "image": tfds.features.Tensor(shape=(side, side), dtype=np.uint16, encoding="zlib"),
            "shape": tfds.features.Tensor(shape=(2,), dtype=np.int32),
            "subject": tfds.features.Text(),
            "index": np.int32,
            "modality": tfds.features.Text(),
            "spacing": tfds.features.Tensor(shape=(2,), dtype=np.float32),
            "scale": tfds.features.Tensor(shape=(2,), dtype=np.float32),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Slices in [0, 1] as 16-bit integers, split by subject.",
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(
                {"subjects": self._subjects(), "settings": dict(self._preparation.settings)}
            ),
        )

    def _subjects(self) -> dict[str, list[str]]:
        splits: dict[str, list[str]] = {}
        for subject in sorted({volume.subject for volume in self._volumes}):
            splits.setdefault(self._preparation.splits.of(subject), []).append(subject)
        return splits

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        return {split: self._generate_examples(split, subjects) for split, subjects in self._subjects().items()}

    def _generate_examples(self, split: str, subjects: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        count = 0
        volumes = [volume for volume in self._volumes if volume.subject in set(subjects)]
        for number, volume in enumerate(tqdm(volumes, desc="preparing volumes", unit="volume")):
            for item in self._preparation.slices(volume):
                count += 1
                yield f"{number}/{item.index}", _encode(item, self._preparation.side)
        if not count:
            raise ValueError(self._preparation.why_empty(split))


def _encode(item: Slice, side: int) -> dict[str, Any]:
    return {
        "image": np.round(LEVELS * on_canvas(item.image, side)).astype(np.uint16),
        "shape": np.array(item.image.shape, np.int32),
        "subject": item.subject,
        "index": item.index,
        "modality": item.modality,
        "spacing": np.array(item.spacing, np.float32),
        "scale": np.array([item.scale.scale, item.scale.offset], np.float32),
    }


def _decode(example: Mapping[str, Any]) -> Slice:
    height, width = example.get("shape", example["image"].shape)  # datasets of older versions hold squares
    return Slice(
        example["image"][:height, :width].astype(np.float32) / LEVELS,
        example["subject"].decode(),
        int(example["index"]),
        example["modality"].decode(),
        (float(example["spacing"][0]), float(example["spacing"][1])),
        IntensityScale(*(float(number) for number in example["scale"])),
    )


def write_dataset(name: str, volumes: Sequence[LazyVolume], preparation: Preparation, folder: Path) -> Path:
    """Prepares volumes and writes their slices as the dataset `name`.

    Args:
        name: name of the dataset: brats, lidc, ...
        volumes: the volumes.
        preparation: how they are prepared.
        folder: where the dataset's own folder is made; an unfinished one is removed by tensorflow-datasets.

    Returns:
        The folder of its files.

    Raises:
        ValueError: the folder holds the dataset already.
    """
    if any(folder.glob(f"{name}/*/dataset_info.json")):
        raise FileError(f"{str(folder / name)!r} holds a dataset already; remove it or use another --workdir")
    tfds.disable_progress_bar()  # its bars know no total; the volumes have one
    builder = type(name, (ArrayRecordBuilder,), {"name": name}, skip_registration=True)(
        volumes, preparation, str(folder)
    )
    with contextlib.redirect_stdout(io.StringIO()):  # its messages speak of a download
        builder.download_and_prepare(file_format=FILE_FORMAT)
    return Path(builder.data_path)


class ArrayRecordSlices:
    """The slices of one split of a dataset: random access from its files, nothing kept in memory.

    Args:
        folder: what `write_dataset` returned.
        split: "train", "validation" or "test".

    Raises:
        ValueError: no such dataset, or a subject in two splits.
    """

    def __init__(self, folder: Path, split: str):
        self._folder = folder
        with reading(folder, PREPARED):
            builder = tfds.builder_from_directory(str(folder))
            check_disjoint(folder, builder.info.metadata["subjects"])
            self._source: Any = builder.as_data_source(split) if split in builder.info.splits else ()
            self._length = len(self._source)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Slice:
        with reading(self._folder, PREPARED):
            return _decode(self._source[index])

    def __iter__(self) -> Iterator[Slice]:
        return (self[i] for i in range(len(self)))
