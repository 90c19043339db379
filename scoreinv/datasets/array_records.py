"""Prepared slices as a tensorflow-datasets dataset of array_record files: written and read without TensorFlow."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from scoreinv.datasets.folders import Scan, Slice, scan_slices
from scoreinv.datasets.packing import LEVELS
from scoreinv.datasets.splits import assigned_split, check_disjoint
from scoreinv.datasets.views import prepared
from scoreinv.formats.guard import FileError
from scoreinv.scans.intensity import IntensityScale

FILE_FORMAT = "array_record"


class SliceDataset(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builds a dataset of prepared slices; its metadata names the subjects of every split.

    Args:
        scans: the scans to prepare.
        data: the `data` section of the configuration.
        data_dir: folder the dataset's own folder is made in.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, scans: Sequence[Scan], data, data_dir: str):
        self._scans, self._data = scans, data
        super().__init__(data_dir=data_dir, file_format=FILE_FORMAT)

    def _info(self) -> tfds.core.DatasetInfo:
        side = self._data.packed_size
        features = {
            "image": tfds.features.Tensor(shape=(side, side), dtype=np.uint16, encoding="zlib"),
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
            metadata=tfds.core.MetadataDict({"subjects": self._subjects(), "settings": _settings(self._data)}),
        )

    def _subjects(self) -> dict[str, list[str]]:
        splits: dict[str, list[str]] = {}
        for subject in sorted({scan.subject for scan in self._scans}):
            splits.setdefault(assigned_split(subject, self._data), []).append(subject)
        return splits

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(subjects) for split, subjects in self._subjects().items()}

    def _generate_examples(self, subjects):
        scans = [scan for scan in self._scans if scan.subject in set(subjects)]
        for number, scan in enumerate(tqdm(scans, desc="preparing volumes", unit="volume")):
            for item in scan_slices(scan, self._data):
                yield f"{number}/{item.index}", _encode(prepared(item, self._data.packed_size))


def _settings(data) -> dict[str, Any]:
    """What decided the dataset's content, for its metadata."""
    names = ("intensity", "window", "percentiles", "packed_size", "validation_fraction", "test_fraction")
    return {name: list(data[name]) if isinstance(data[name], tuple) else data[name] for name in names}


def _encode(item: Slice) -> dict[str, Any]:
    return {
        "image": np.round(LEVELS * item.image).astype(np.uint16),
        "subject": item.subject,
        "index": item.index,
        "modality": item.modality,
        "spacing": np.array(item.spacing, np.float32),
        "scale": np.array([item.scale.scale, item.scale.offset], np.float32),
    }


def _decode(example: Mapping[str, Any]) -> Slice:
    return Slice(
        example["image"].astype(np.float32) / LEVELS,
        example["subject"].decode(),
        int(example["index"]),
        example["modality"].decode(),
        (float(example["spacing"][0]), float(example["spacing"][1])),
        IntensityScale(*(float(number) for number in example["scale"])),
    )


def write_dataset(name: str, scans: Sequence[Scan], data, folder: Path) -> Path:
    """Prepares scans and writes them as the dataset `name`.

    Args:
        name: name of the dataset: brats, lidc, ...
        scans: the scans.
        data: the `data` section of the configuration.
        folder: where the dataset's own folder is made; an unfinished one is removed by tensorflow-datasets.

    Returns:
        The folder of its files.
    """
    if any(folder.glob(f"{name}/*/dataset_info.json")):
        raise FileError(f"{str(folder / name)!r} holds a dataset already; remove it or use another --workdir")
    tfds.disable_progress_bar()  # its bars know no total; the scans have one
    builder = type(name, (SliceDataset,), {"name": name}, skip_registration=True)(scans, data, str(folder))
    with contextlib.redirect_stdout(io.StringIO()):  # its messages speak of a download
        builder.download_and_prepare(file_format=FILE_FORMAT)
    return Path(builder.data_path)


class SliceSource:
    """The slices of one split of a dataset: random access from its files, nothing kept in memory.

    Args:
        folder: what `write_dataset` returned.
        split: "train", "validation" or "test".

    Raises:
        ValueError: no such dataset, or a subject in two splits.
    """

    def __init__(self, folder: Path, split: str):
        try:
            builder = tfds.builder_from_directory(str(folder))
            subjects = builder.info.metadata["subjects"]
        except Exception as error:
            message = " ".join(str(error).split())
            raise FileError(
                f"{str(folder)!r} is no prepared dataset ({message[:200]}); write it with --mode=prepare"
            ) from error
        check_disjoint(folder, subjects)
        self._folder = folder
        self._source: Any = builder.as_data_source(split) if split in builder.info.splits else ()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Slice:
        try:
            return _decode(self._source[index])
        except Exception as error:
            message = " ".join(str(error).split())
            raise FileError(
                f"cannot read {str(self._folder)!r} ({message[:200]}); write it again with --mode=prepare"
            ) from error

    def __iter__(self) -> Iterator[Slice]:
        return (self[i] for i in range(len(self)))
