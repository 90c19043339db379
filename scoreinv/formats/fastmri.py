"""fastMRI's HDF5 layout (Zbontar et al. 2018): k-space of a stack of slices, a mask, an ISMRMRD header."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

from scoreinv.formats.guard import MAX_TEXT_BYTES, reading
from scoreinv.formats.hdf5 import open_hdf5, read_dataset

FASTMRI = "an HDF5 file in fastMRI's layout"
Arrays = dict[str, np.ndarray]


def is_fastmri(path: str | Path) -> bool:
    """Whether an HDF5 file holds k-space beside fastMRI's header or reference images."""
    with open_hdf5(path) as file:
        return "kspace" in file and any(
            name in file for name in ("ismrmrd_header", "reconstruction_rss", "reconstruction_esc")
        )


def read_fastmri(path: str | Path, slice_index: int = -1) -> Arrays:
    """One slice of a file: `kspace` [coils, H, W] (or [H, W] of a single coil) and what belongs to it.

    Args:
        path: the file.
        slice_index: -1 is the middle one.

    Returns:
        `kspace`, `mask` [W] where the file has one, `chosen` (slice, slices), and where the header says it `matrix`
        (rows, columns) without readout oversampling and `spacing` (row, column) in mm.

    Raises:
        ValueError: missing, damaged or too large, or no such slice.
    """
    with open_hdf5(path) as file, reading(path, FASTMRI):
        stack = file["kspace"]
        count = stack.shape[0] if stack.ndim > 2 else 1
        if not -1 <= slice_index < count:
            raise ValueError(f"slice_index={slice_index}, but the file has {count} slices; give 0 to {count - 1}")
        index = count // 2 if slice_index == -1 else slice_index
        arrays = {
            "kspace": read_dataset(stack, path, (index,) if stack.ndim > 2 else ()),
            "chosen": np.array([index, count]),
        }
        if "mask" in file:
            arrays["mask"] = read_dataset(file["mask"], path)
        return arrays | (_geometry(file["ismrmrd_header"]) if "ismrmrd_header" in file else {})


def _geometry(dataset: Any) -> Arrays:
    """Matrix and pixel spacing of the header; nothing where it does not hold them."""
    text = dataset[()]
    if not isinstance(text, bytes | str) or len(text) > MAX_TEXT_BYTES:
        return {}
    root = ElementTree.fromstring(text)
    found = {}
    for space in ("encodedSpace", "reconSpace"):
        for part in ("matrixSize", "fieldOfView_mm"):
            for axis in "xy":
                node = root.find(f".//{{*}}{space}/{{*}}{part}/{{*}}{axis}")
                if node is None or node.text is None:
                    return {}
                found[space, part, axis] = float(node.text)
    encoded = [found["encodedSpace", "matrixSize", axis] for axis in "xy"]
    field = [found["encodedSpace", "fieldOfView_mm", axis] for axis in "xy"]
    if min(*encoded, *field, found["reconSpace", "fieldOfView_mm", "x"]) <= 0:
        return {}
    rows = round(encoded[0] * found["reconSpace", "fieldOfView_mm", "x"] / field[0])
    return {"matrix": np.array([rows, round(encoded[1])]), "spacing": np.array(field) / encoded}
