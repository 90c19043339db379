"""Preparation driver: volumes in, prepared slices out."""

from pathlib import Path

from absl import logging

from scoreinv import build
from scoreinv.datasets.packing import write_packed
from scoreinv.datasets.slices import describe, read_slices
from scoreinv.datasets.splits import SPLITS, assigned_split
from scoreinv.datasets.views import prepared
from scoreinv.formats.files import write_atomically


def prepare(config, workdir: Path) -> Path:
    """Writes the slices of `config.data`'s volumes, split by subject, into `workdir`.

    Args:
        config: the whole configuration; `data.format` chooses a dataset of array_record files or one npz file.
        workdir: directory of the result; created if missing.

    Returns:
        What was written, for `config.data.packed`.

    Raises:
        ValueError: no file, one that cannot be read, or an existing dataset; nothing is written then.
    """
    data = config.data
    write = build.choose({"array_record": _write_dataset, "npz": _write_npz}, data.format, "data.format")
    scans = build.source(data)(data)
    subjects = {scan.subject for scan in scans}
    counts = {split: sum(assigned_split(s, data) == split for s in subjects) for split in SPLITS}
    if not counts["train"]:
        raise ValueError(f"no subject of {describe(data)} falls into split 'train'; add volumes")
    logging.info("subjects: %s", ", ".join(f"{count} {split}" for split, count in counts.items()))
    path = write(scans, data, workdir)
    logging.info("wrote %s; train on it with --config.data.packed=%s", path, path)
    return path


def _write_dataset(scans, data, workdir: Path) -> Path:
    from scoreinv.datasets.array_records import write_dataset  # tensorflow-datasets loads slowly

    return write_dataset(data.source, scans, data, workdir)


def _write_npz(scans, data, workdir: Path) -> Path:
    slices = {
        split: [prepared(item, data.packed_size) for item in read_slices(data, split, lambda _: scans)]
        for split in SPLITS
    }
    write_atomically(workdir / "slices.npz", lambda path: write_packed(path, slices))
    return workdir / "slices.npz"
