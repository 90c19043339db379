"""Preparation driver: volumes in, prepared slices out."""

from functools import partial
from pathlib import Path

from absl import logging

from scoreinv import build
from scoreinv.datasets.packing import write_packed
from scoreinv.datasets.splits import SPLITS
from scoreinv.datasets.views import reduced
from scoreinv.formats.files import write_atomically


def prepare(config, workdir: Path) -> Path:
    """Writes the slices of `config.data`'s volumes, split by subject, into `workdir`.

    Args:
        config: the whole configuration; `data.format` chooses a dataset of array_record files or one npz file.
        workdir: directory of the result; created if missing.

    Returns:
        What was written, for `config.data.packed`.

    Raises:
        ValueError: no file, one that cannot be read, no slice left of a split, or an existing dataset; nothing is
            written then.
    """
    data = config.data
    write = build.choose({"array_record": _write_dataset, "npz": _write_npz}, data.format, "data.format")
    volumes, split_of = build.volumes(data), build.splits(data).of
    subjects = {volume.subject for volume in volumes}
    counts = {split: sum(split_of(subject) == split for subject in subjects) for split in SPLITS}
    if not counts["train"]:
        raise ValueError(build.nothing_in(data, "train"))
    logging.info("subjects: %s", ", ".join(f"{count} {split}" for split, count in counts.items()))
    path = write(volumes, data, workdir)
    logging.info("wrote %s; train on it with --config.data.packed=%s", path, path)
    return path


def _write_dataset(volumes, data, workdir: Path) -> Path:
    from scoreinv.datasets.array_records import Preparation, write_dataset  # tensorflow-datasets loads slowly

    read = build.volume_reader(data)
    names = ("intensity", "window", "percentiles", "packed_size", "validation_fraction", "test_fraction")
    settings = {name: list(data[name]) if isinstance(data[name], tuple) else data[name] for name in names}

    def slices(volume):
        return (reduced(item, data.packed_size) for item in read(volume))

    why_empty = partial(build.nothing_in, data)
    preparation = Preparation(slices, data.packed_size, build.splits(data), settings, why_empty)
    return write_dataset(data.source, volumes, preparation, workdir)


def _write_npz(volumes, data, workdir: Path) -> Path:
    slices = {
        split: [reduced(item, data.packed_size) for item in build.read_volumes(data, volumes, split)]
        for split in SPLITS
    }
    present = {build.splits(data).of(volume.subject) for volume in volumes}
    for split in SPLITS:
        if split in present and not slices[split]:
            raise ValueError(build.nothing_in(data, split))
    write_atomically(workdir / "slices.npz", lambda path: write_packed(path, slices))
    return workdir / "slices.npz"
