"""Real images that come with the packages this one needs: one brain MRI slice and two CT slices.

nibabel ships the MRI volume (`nibabel/tests/data/example4d.nii.gz`), pydicom the CT slices (in
`pydicom/data/test_files`); nothing is downloaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float

from scoreinv.formats.images import read_image
from scoreinv.formats.volume import Volume
from scoreinv.scans.intensity import IntensityScale, to_unit_range


@dataclass(frozen=True)
class Example:
    """One slice and what its numbers mean.

    Attributes:
        image: [H, W, 1] in [0, 1].
        scale: maps `image` back to the scanner's unit (Hounsfield units for CT).
        spacing: (row, column) pixel spacing in mm.
        modality: "CT" or "MR"; "" where a file does not say.
        unit: of the scanner's numbers, "HU" or "".
    """

    image: Float[np.ndarray, "H W 1"]
    scale: IntensityScale
    spacing: tuple[float, float]
    modality: str
    unit: str = ""


def _shipped(package: str, *parts: str) -> Volume:
    spec = find_spec(package)
    path = Path(next(iter(spec.submodule_search_locations or ()), "")) if spec else Path()
    path = path.joinpath(*parts)
    if not path.is_file():
        raise ValueError(
            f"the installed {package} comes without {'/'.join(parts)}; reinstall it: pip install {package}"
        )
    return read_image(path)


def brain_mri(slice_index: int = 12) -> Example:
    """An axial brain MRI slice, [96, 128, 1] at 2 mm (nibabel's example4d), scaled by the volume's 99.5 percentile.

    Args:
        slice_index: 0 to 23, from inferior to superior; 12 crosses the lateral ventricles.

    >>> scoreinv.brain_mri().image.shape
    (96, 128, 1)
    """
    volume = _shipped("nibabel", "tests", "data", "example4d.nii.gz")
    unit, scale = to_unit_range(volume.values, "percentile")
    return Example(unit[slice_index, :, :, None], scale, volume.spacing, "MR")


def _ct(file: str, low: float, high: float) -> Example:
    volume = _shipped("pydicom", "data", "test_files", file)
    unit, scale = to_unit_range(volume.values, "ct_window", low, high)
    return Example(unit[0, :, :, None], scale, volume.spacing, volume.modality, volume.unit)


def head_ct(low: float = -1024.0, high: float = 1024.0) -> Example:
    """A head CT slice through the skull base, [512, 512, 1] at 0.43 mm (pydicom's J2K_pixelrep_mismatch).

    Args:
        low: HU mapped to 0.
        high: HU mapped to 1.

    >>> scoreinv.head_ct().unit
    'HU'
    """
    return _ct("J2K_pixelrep_mismatch.dcm", low, high)


def spine_ct(low: float = -1024.0, high: float = 1024.0) -> Example:
    """A CT crop about a vertebra, [128, 128, 1] at 0.66 mm (pydicom's CT_small).

    Args:
        low: HU mapped to 0.
        high: HU mapped to 1.
    """
    return _ct("CT_small.dcm", low, high)


EXAMPLES: dict[str, Callable[..., Example]] = {"brain-mri": brain_mri, "head-ct": head_ct, "spine-ct": spine_ct}
