"""Files that are never half-written."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


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
    """Adds arrays to an .npz file, which is whole at any moment; those it has under the same names are replaced."""

    def write(name: Path) -> None:
        np.savez_compressed(name, **arrays)
        if not path.exists():
            return
        with zipfile.ZipFile(path) as before, zipfile.ZipFile(name, "a", zipfile.ZIP_DEFLATED) as after:
            for member in set(before.namelist()) - set(after.namelist()):
                with before.open(member) as source, after.open(member, "w") as target:
                    shutil.copyfileobj(source, target)

    write_atomically(path, write)
