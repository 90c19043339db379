"""Results in the formats of scanners and viewers, with the place and the patient of what they come from."""

from collections.abc import Callable, Mapping, Sequence
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
    kind: str, stem: Path, values: Shaped[np.ndarray, "slices H W"], geometry: Geometry, method: str
) -> tuple[Path, ...]:
    """Writes slices as an image file, or a folder of them.

    Args:
        kind: a name in EXPORTS.
        stem: where to, without ending: `stem`.nii.gz, or the folder `stem` of DICOM files.
        values: slices in the unit that `geometry` names; an array on disk is read slice by slice.
        geometry: where they lie and what they come from, at their own resolution (`Geometry.resampled`).
        method: what made them, in a few words.

    Returns:
        The files written.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in EXPORTS:
        raise ValueError(f"unknown export {kind!r}; choose one of {', '.join(sorted(EXPORTS))}")
    return EXPORTS[kind](stem, values, geometry, method)


def write_maps(
    kinds: Sequence[str],
    stem: Path,
    maps: Mapping[str, Shaped[np.ndarray, "slices H W"]],
    geometry: Geometry,
    method: str,
) -> tuple[Path, ...]:
    """Writes an image and maps of it, each as `stem`-name.

    Args:
        kinds: names in EXPORTS.
        stem: where to, without name and ending.
        maps: name -> slices; the image is "image", or "" for `stem` itself; "phase" is in radians, "open-..." a share.
        geometry: as in `write_image`.
        method: what made the image, in a few words.

    Returns:
        The files written.
    """
    files: tuple[Path, ...] = ()
    for kind in kinds:
        for name, values in maps.items():
            said = method if name in ("", "image") else f"{method}, {name}"
            unit = "rad" if name == "phase" else "" if name.startswith("open-") else geometry.unit
            own = replace(geometry, unit=unit)
            beside = stem.with_name(f"{stem.name}-{name}" if name else stem.name)
            beside.parent.mkdir(parents=True, exist_ok=True)
            files += write_image(kind, beside, values, own, said)
    return files
