"""What every reader returns, and what all of them share: the size limit and the axial layout."""

from dataclasses import dataclass

import nibabel
import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Volume:
    """Axial slices of one scan.

    Attributes:
        values: [slices, H, W]; Hounsfield units, at least -1024, where `unit` is "HU".
        spacing: (row, column) pixel spacing in mm; 1.0 where the file does not say.
        modality: "CT", "MR" or "" where the file does not say.
        subject: the patient the file names, "" where it names none.
        unit: "HU" or "".
    """

    values: Float[np.ndarray, "slices H W"]
    spacing: tuple[float, float] = (1.0, 1.0)
    modality: str = ""
    subject: str = ""
    unit: str = ""


def to_axial(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Turns an array [i, j, k] with a RAS affine into (slices [z, y, x], (row, column) spacing in mm)."""
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, affine))
    column, row, _ = (float(size) for size in nibabel.affines.voxel_sizes(image.affine))
    return np.ascontiguousarray(np.asarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]), (row, column)
