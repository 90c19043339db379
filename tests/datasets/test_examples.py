"""The bundled examples against the files they come from."""

from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pydicom

from scoreinv.datasets.examples import EXAMPLES


def shipped(package, *parts):
    return Path(find_spec(package).submodule_search_locations[0]).joinpath(*parts)


def test_every_example_is_one_gray_slice_in_the_unit_range():
    for name, load in EXAMPLES.items():
        example = load()
        assert example.image.ndim == 3 and example.image.shape[2] == 1, name
        assert example.image.min() >= 0 and 0.9 < example.image.max() <= 1, name
        assert example.image.std() > 0.1, name


def test_brain_mri_is_the_scan_in_radiological_order():
    example = EXAMPLES["brain-mri"]()
    scan = nibabel.load(shipped("nibabel", "tests", "data", "example4d.nii.gz"))
    assert nibabel.aff2axcodes(scan.affine) == ("L", "A", "S")
    expected = np.asarray(scan.dataobj[:, :, 12, 0], np.float32).T[::-1]
    np.testing.assert_allclose(
        example.scale.restore(example.image[..., 0]), np.minimum(expected, example.scale.scale), rtol=1e-5, atol=1e-3
    )
    np.testing.assert_allclose(example.spacing, (2.0, 2.0), rtol=1e-4)


def test_ct_windows_map_hounsfield_units():
    for name, file in (("head-ct", "J2K_pixelrep_mismatch.dcm"), ("spine-ct", "CT_small.dcm")):
        header = pydicom.dcmread(shipped("pydicom", "data", "test_files", file))
        hounsfield = header.pixel_array * float(header.RescaleSlope or 1) + float(header.RescaleIntercept or 0)
        wide, narrow = EXAMPLES[name](), EXAMPLES[name](low=-200.0, high=300.0)
        np.testing.assert_allclose(wide.scale.restore(wide.image[..., 0]), np.clip(hounsfield, -1024, 1024), atol=1e-3)
        np.testing.assert_allclose(narrow.image[..., 0], np.clip((hounsfield + 200) / 500, 0, 1), atol=1e-6)
