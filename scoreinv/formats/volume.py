"""What every image reader returns: slices, and where they lie in the patient."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float

PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}  # name -> the axis of (right, anterior, superior) across it


@dataclass(frozen=True)
class Geometry:
    """Where an array [slices, H, W] lies, and the files it is from.

    Attributes:
        affine: [4, 4], maps (slice, row, column, 1) to mm to the patient's right, anterior and superior.
        sources: the DICOM file of each slice, or the one file of all; empty where the source is of another kind.
        modality: "CT", "MR" or "".
        unit: of the values: "HU" or "".
    """

    affine: Float[np.ndarray, "4 4"]
    sources: tuple[Path, ...] = ()
    modality: str = ""
    unit: str = ""

    def of_slice(self, index: int) -> "Geometry":
        """The geometry of one slice alone, [1, H, W]."""
        affine = self.affine.copy()
        affine[:3, 3] += index * affine[:3, 0]
        sources = self.sources[index : index + 1] if len(self.sources) > 1 else self.sources
        return dataclasses.replace(self, affine=affine, sources=sources)

    def resampled(self, before: tuple[int, int], after: tuple[int, int]) -> "Geometry":
        """The geometry when the same field of view has `after` instead of `before` (rows, columns)."""
        affine = self.affine.copy()
        for axis, old, new in zip((1, 2), before, after, strict=True):
            step = affine[:3, axis] * (old / new)
            affine[:3, 3] += (step - affine[:3, axis]) / 2  # centres of the first pixels
            affine[:3, axis] = step
        return dataclasses.replace(self, affine=affine)


@dataclass(frozen=True)
class Volume:
    """The slices of one image file or series.

    Attributes:
        values: [slices, H, W]; Hounsfield units, at least -1024, where `unit` is "HU".
        spacing: (row, column) pixel spacing in mm; 1.0 where the file does not say.
        modality: "CT", "MR" or "" where the file does not say.
        subject: the patient the file names, "" where it names none.
        unit: "HU" or "".
        geometry: where the slices lie; None where the file does not say.
        notes: what was recognised, guessed or done about the file, one line each.
    """

    values: Float[np.ndarray, "slices H W"]
    spacing: tuple[float, float] = (1.0, 1.0)
    modality: str = ""
    subject: str = ""
    unit: str = ""
    geometry: Geometry | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How an array [i, j, k] in space becomes slices as a radiologist reads them.

    Axial slices run from inferior to superior, coronal ones from anterior to posterior, sagittal ones from right to
    left; rows from anterior to posterior or from superior to inferior, columns from the patient's right to left or from
    anterior to posterior.

    Attributes:
        plane: "axial", "coronal" or "sagittal".
        order: the axes i, j, k in the order slice, row, column.
        reverse: whether each of (slice, row, column) runs against its stored axis.
        affine: [4, 4] of [slice, row, column] where that of [i, j, k] was given.
    """

    plane: str
    order: tuple[int, int, int]
    reverse: tuple[bool, bool, bool]
    affine: Float[np.ndarray, "4 4"]

    @property
    def spacing(self) -> tuple[float, float]:
        """(row, column) spacing in mm."""
        row, column = np.linalg.norm(self.affine[:3, 1:3], axis=0)
        return float(row), float(column)

    def view(self, stored: np.ndarray) -> np.ndarray:
        """The array [i, j, k] as [slices, rows, columns], without a copy."""
        return stored.transpose(self.order)[tuple(slice(None, None, -1 if back else 1) for back in self.reverse)]

    def stored(self, slices: np.ndarray) -> np.ndarray:
        """The inverse of `view`: an array [slices, rows, columns] as [i, j, k], without a copy."""
        turned = slices[tuple(slice(None, None, -1 if back else 1) for back in self.reverse)]
        return turned.transpose(np.argsort(self.order))


def layout(shape: tuple[int, ...], affine: np.ndarray, plane: str = "") -> Layout:
    """The layout of an array [i, j, k] with a RAS affine.

    Args:
        shape: the array's.
        affine: [4, 4], maps (i, j, k, 1) to mm to the right, anterior and superior.
        plane: "axial", "coronal" or "sagittal"; "" for the plane it was acquired in: across its coarsest axis where one
            is half as coarse again as the others, else axial.
    """
    orientation = nibabel.io_orientation(affine)
    world = orientation[:, 0].astype(int)  # of each stored axis: 0 right, 1 anterior, 2 superior
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    coarsest, second = np.argsort(-sizes, kind="stable")[:2]
    if plane:
        across = PLANES[plane]
    else:
        across = int(world[coarsest]) if sizes[coarsest] > 1.5 * sizes[second] else PLANES["axial"]
    row = 1 if across == 2 else 2
    column = 1 if across == 0 else 0
    order = tuple(int(np.flatnonzero(world == axis)[0]) for axis in (across, row, column))
    # Slices of the axial plane run upwards; everything else runs to the left, to the back and downwards.
    wanted = (1 if across == 2 else -1, -1, -1)
    reverse = tuple(bool(orientation[axis, 1] != sign) for axis, sign in zip(order, wanted, strict=True))
    turned = np.eye(4)
    turned[:3, 3] = affine[:3, 3]
    for place, (axis, back) in enumerate(zip(order, reverse, strict=True)):
        turned[:3, place] = -affine[:3, axis] if back else affine[:3, axis]
        turned[:3, 3] += affine[:3, axis] * (shape[axis] - 1) * back
    names = {axis: name for name, axis in PLANES.items()}
    return Layout(names[across], order, reverse, turned)  # type: ignore[arg-type]
