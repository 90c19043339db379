"""Files of named arrays: what scanner data comes in when no vendor's format holds it."""

import zipfile
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def read_arrays(path: Path) -> Arrays:
    """The arrays of an .npz file by name.

    Args:
        path: the file.

    Returns:
        Name -> array, as stored.

    Raises:
        ValueError: missing or unreadable file.
    """
    if not path.is_file():
        raise ValueError(f"measurement file {str(path)!r} does not exist; give an .npz file with kspace or sinogram")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is not an .npz file ({error}); write it with numpy.savez") from error
