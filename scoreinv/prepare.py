"""Preparation driver: volumes in, one packed file of slices out."""

from pathlib import Path

from absl import logging

from scoreinv.checkpoints import write_atomically
from scoreinv.data.folders import Slice, folder_slices
from scoreinv.data.packed import SPLITS, write_packed
from scoreinv.data.slices import assigned_split, prepared


def prepare(config, workdir: Path) -> Path:
    """Writes the slices of `config.data.folders`, split by subject, to `slices.npz` in `workdir`.

    Args:
        config: the whole configuration.
        workdir: directory of the file; created if missing.

    Returns:
        The file's path, for `config.data.packed`.

    Raises:
        ValueError: no file, or one that cannot be read; nothing is written then.
    """
    slices: dict[str, list[Slice]] = {split: [] for split in SPLITS}
    for item in folder_slices(config.data):
        slices[assigned_split(item.subject, config.data)].append(prepared(item, config.data.packed_size))
    for split, items in slices.items():
        logging.info("%s: %d slices of %d subjects", split, len(items), len({item.subject for item in items}))
    if not slices["train"]:
        raise ValueError(f"no subject of {', '.join(config.data.folders)} falls into split 'train'; add volumes")
    write_atomically(workdir / "slices.npz", lambda path: write_packed(path, slices))
    return workdir / "slices.npz"
