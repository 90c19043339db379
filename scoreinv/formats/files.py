"""Files that are never half-written."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scoreinv.formats.guard import check_total, reading

RESULTS = "an .npz file of results to add to"


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file under a temporary name in the same folder and renames it: never half-written, never in the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix="".join(path.suffixes))
    os.close(handle)
    try:
        write(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def add_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Adds arrays to an .npz file, which is whole at any moment; those it has under the same names are replaced.

    Raises:
        ValueError: what is there is damaged.
    """

    def write(name: Path) -> None:
        np.savez_compressed(name, **arrays)
        with zipfile.ZipFile(name, "a", zipfile.ZIP_DEFLATED) as after:
            new = set(after.namelist())
            for member, content in _members(path) if path.exists() else ():
                if member not in new:
                    after.writestr(member, content)

    write_atomically(path, write)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of what an archive holds."""
    with reading(path, RESULTS), zipfile.ZipFile(path) as archive:
        every = archive.infolist()
    with zipfile.ZipFile(path) as archive:
        for info in every:
            check_total([((info.file_size,), np.uint8)], path)
            with reading(path, RESULTS):
                content = archive.read(info)
            yield info.filename, content
