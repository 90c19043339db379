"""What --mode=reconstruct writes beside figures: NIfTI and DICOM in the source's place, with its patient."""

import nibabel
import numpy as np
import pydicom
import pytest

from configs import default
from scoreinv.drivers.reconstruct import reconstruct
from tests.formats.test_images import write_slice

MAPS = ("image", "std", "low", "high", "contrast")
AXIS = np.linspace(-1, 1, 32)
DISC = (AXIS[:, None] ** 2 + AXIS**2 < 0.7) * (1.0 + 0.5 * (AXIS > 0.2))


@pytest.fixture
def config(tiny_prior_file):
    config = default.get_config()
    config.prior, config.baselines = str(tiny_prior_file), ("direct",)
    config.sampler.update({"steps": 2, "samples": 2, "batch_size": 2})
    config.interval.update({"steps": 2, "draws": 2})
    config.output.formats = ("dicom", "nifti")
    return config


def test_a_slice_of_a_dicom_series_stays_in_its_place_with_its_patient(config, tmp_path):
    (tmp_path / "series").mkdir()
    for i in range(2):
        values = np.round(900 * DISC - 1000).astype(int)
        write_slice(tmp_path / "series" / f"{i}.dcm", values, (5.0, 6.0, 3.0 * i), PatientName="Doe^Jane",
                    StudyInstanceUID="1.2.3", SeriesDescription="head", SeriesNumber=4)  # fmt: skip
    config.images, config.slice_index = (str(tmp_path / "series"),), 1
    config.data.intensity = "ct_window"
    reconstruct(config, tmp_path / "out")
    source = pydicom.dcmread(tmp_path / "series" / "1.dcm")
    arrays = np.load(tmp_path / "out" / "reconstructions.npz")
    expected = arrays["series-4x/scale"] * arrays["series-4x/scoreinv-mean"][..., 0] + arrays["series-4x/offset"]
    for name in (*MAPS, "truth"):
        written = pydicom.dcmread(tmp_path / "out" / f"series-4x-{name}" / "IM0001.dcm")
        for tag in ("PatientName", "StudyInstanceUID", "ImagePositionPatient", "ImageOrientationPatient"):
            assert written[tag].value == source[tag].value, tag
        assert [float(x) for x in written.PixelSpacing] == [0.5, 0.75]
        assert written.ImageType[:2] == ["DERIVED", "SECONDARY"] and written.RescaleType == "HU"
        assert written.SeriesDescription.startswith("head scoreinv dpir, prior tiny")
        nifti = nibabel.load(tmp_path / "out" / f"series-4x-{name}.nii.gz")
        assert "scoreinv dpir" in str(nifti.header["descrip"])
        np.testing.assert_allclose(nifti.affine @ [0, 0, 0, 1], [-5, -6, 3, 1], atol=1e-5)
        assert np.asarray(nifti.dataobj).shape == (32, 32, 1)
        pixels = written.pixel_array * float(written.RescaleSlope) + float(written.RescaleIntercept)
        np.testing.assert_allclose(pixels, np.clip(np.asarray(nifti.dataobj)[..., 0].T, -1024, None), atol=0.51)
    np.testing.assert_allclose(
        np.asarray(nibabel.load(tmp_path / "out" / "series-4x-image.nii.gz").dataobj)[..., 0].T, expected, atol=0.1
    )


@pytest.mark.slow
def test_complex_images_are_written_by_magnitude_and_phase(config, tmp_path):
    image = 40 * DISC * np.exp(1.3j + 0.5j * AXIS)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho"))
    np.savez(tmp_path / "scan.npz", kspace=kspace.astype(np.complex64), spacing=(2.0, 1.5))
    config.measurement, config.output.phase = str(tmp_path / "scan.npz"), True
    reconstruct(config, tmp_path / "out")
    maps = {}
    for name in (*MAPS, "phase"):
        nifti = nibabel.load(tmp_path / "out" / f"scan-{name}.nii.gz")
        assert nifti.header.get_zooms()[:2] == pytest.approx((1.5, 2.0))
        maps[name] = np.asarray(nifti.dataobj)[..., 0].T
        assert (tmp_path / "out" / f"scan-{name}" / "IM0001.dcm").is_file()
    inside = DISC > 0
    np.testing.assert_allclose(maps["image"][inside], abs(image)[inside], atol=4)  # everything was measured
    np.testing.assert_allclose(maps["phase"][inside], np.angle(image)[inside], atol=0.2)
    assert np.all(maps["low"] >= 0) and np.all(maps["low"] <= maps["image"]) and np.all(maps["image"] <= maps["high"])
    assert maps["std"].max() > 0
