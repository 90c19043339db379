"""Results in the formats of scanners and viewers, with the place and the patient of what they come from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from scoreinv.formats.dicom_writer import write_dicom
from scoreinv.formats.nifti import write_nifti
from scoreinv.formats.volume import Geometry


def _nifti(stem: Path, values: Float[np.ndarray, "slices H W"], geometry: Geometry, method: str) -> tuple[Path, ...]:
    path = stem.with_name(stem.name + ".nii.gz")
    write_nifti(path, values, geometry, method)
    return (path,)


# (file name without ending, slices, where they lie, what made them) -> the files written.
EXPORTS: dict[str, Callable[[Path, np.ndarray, Geometry, str], tuple[Path, ...]]] = {
    "dicom": write_dicom,
    "nifti": _nifti,
}


def plain_geometry(spacing: tuple[float, float] = (1.0, 1.0), thickness: float = 1.0, unit: str = "") -> Geometry:
    """The geometry of axial slices of which nothing is known but their spacing in mm."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = thickness, -spacing[0], -spacing[1], 1
    return Geometry(affine, unit=unit)


def write_image(
    kind: str,
    stem: Path,
    values: Shaped[np.ndarray, "slices H W"],
    geometry: Geometry,
    method: str,
    phase: bool = False,
) -> tuple[Path, ...]:
    """Writes slices as an image file, or a folder of them.

    Args:
        kind: a name in EXPORTS.
        stem: where to, without ending: `stem`.nii.gz, or the folder `stem` of DICOM files.
        values: real or complex slices in the unit that `geometry` names; of complex ones the magnitude is written.
        geometry: where they lie and what they come from, at their own resolution (`Geometry.resampled`).
        method: what made them, in a few words.
        phase: whether of complex values the phase is written too, in radians, as `stem`-phase.

    Returns:
        The files written.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in EXPORTS:
        raise ValueError(f"unknown export {kind!r}; choose one of {', '.join(sorted(EXPORTS))}")
    is_complex = np.iscomplexobj(values)
    real = np.asarray(np.abs(values) if is_complex else values, np.float32)
    files = EXPORTS[kind](stem, real, geometry, method)
    if phase and is_complex:
        angles = np.angle(values).astype(np.float32)
        beside = stem.with_name(stem.name + "-phase")
        files += EXPORTS[kind](beside, angles, replace(geometry, unit="rad"), f"{method}, phase")
    return files
