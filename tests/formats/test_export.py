"""What is written is read back by us, by nibabel and by pydicom: values, place, patient, and what made it."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import MRImageStorage

from scoreinv.formats.export import EXPORTS, plain_geometry, write_image, write_maps
from scoreinv.formats.images import read_image
from scoreinv.formats.nifti import write_nifti
from scoreinv.formats.volume import Geometry
from tests.formats.test_images import coordinates, write_slice

METHOD = "scoreinv dpir, 4x"


def source_series(folder, orientation=(1, 0, 0, 0, 1, 0), step=(0, 0, 3), count=3, modality="CT"):
    """A series of images whose values tell where they are."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        values = rng.integers(-1000, 1000, (6, 8)) if modality == "CT" else rng.integers(-1024, -124, (6, 8))
        fields = {"Modality": "MR", "SOPClassUID": MRImageStorage, "RescaleIntercept": 0} if modality == "MR" else {}
        write_slice(folder / f"{i}.dcm", values, tuple(10 + i * s for s in step), orientation, PatientName="Doe^Jane",
                    StudyInstanceUID="1.2.3", SeriesNumber=4, SeriesDescription="T1", InstanceNumber=i + 1,
                    **fields)  # fmt: skip
    return read_image(folder)


PLANES = [((1, 0, 0, 0, 1, 0), (0, 0, 3)), ((0, 1, 0, 0, 0, -1), (3, 0, 0)), ((1, 0, 0, 0, 0, -1), (0, 3, 0))]


@pytest.mark.parametrize(("orientation", "step"), PLANES, ids=["axial", "sagittal", "coronal"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_derived_series_lies_where_its_source_does(tmp_path, orientation, step, modality):
    volume = source_series(tmp_path / "in", orientation, step, modality=modality)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = write_image("dicom", tmp_path / "out", volume.values, volume.geometry, METHOD)
    again = read_image(tmp_path / "out")
    np.testing.assert_allclose(again.values, volume.values, atol=0.5 if modality == "CT" else 0.02)
    np.testing.assert_allclose(again.geometry.affine, volume.geometry.affine, atol=1e-6)
    assert (again.spacing, again.modality, again.subject, again.unit) == (
        volume.spacing, volume.modality, volume.subject, volume.unit)  # fmt: skip
    for file, source in zip(files, volume.geometry.sources, strict=True):
        new, old = pydicom.dcmread(file), pydicom.dcmread(source)
        for name in ("PatientName", "PatientID", "StudyInstanceUID", "SOPClassUID", "ImageOrientationPatient",
                     "PixelSpacing", "ImagePositionPatient"):  # fmt: skip
            assert new[name].value == old[name].value, name
        assert new.ImageType[:2] == ["DERIVED", "SECONDARY"] and new.SeriesDescription == f"T1 {METHOD}"
        assert new.DerivationDescription == new.ImageComments == METHOD
        assert new.SeriesInstanceUID != old.SeriesInstanceUID and new.SOPInstanceUID != old.SOPInstanceUID
        assert new.SourceImageSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
        assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
    assert len({pydicom.dcmread(file).SOPInstanceUID for file in files}) == len(files)


def test_half_the_resolution_keeps_the_field_of_view(tmp_path):
    volume = source_series(tmp_path / "in")
    small = volume.values.reshape(3, 3, 2, 4, 2).mean((2, 4))
    geometry = volume.geometry.resampled((6, 8), (3, 4))
    write_image("dicom", tmp_path / "out", small, geometry, METHOD)
    again = read_image(tmp_path / "out")
    np.testing.assert_allclose(again.spacing, np.multiply(2, volume.spacing))
    # The first pixel's centre is the mean of the four that it holds.
    corner = coordinates((1, 2, 2), volume.geometry.affine).reshape(3, -1).mean(1)
    np.testing.assert_allclose(again.geometry.affine[:3, 3], corner)


def test_one_slice_of_a_volume_keeps_its_place(tmp_path):
    volume = source_series(tmp_path / "in")
    write_image("dicom", tmp_path / "out", volume.values[2:], volume.geometry.of_slice(2), METHOD)
    header = pydicom.dcmread(tmp_path / "out" / "IM0001.dcm")
    assert header.ImagePositionPatient == [10, 10, 16]
    assert header.SourceImageSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(
        volume.geometry.sources[2]).SOPInstanceUID  # fmt: skip


def test_ct_is_clipped_at_air_and_in_steps_of_one_hu(tmp_path):
    values = np.array([[[-3000.0, -1024.0, 40.25, 3071.0]]], np.float32)
    write_image("dicom", tmp_path / "out", values, Geometry(np.eye(4), (), "CT", "HU"), METHOD)
    header = pydicom.dcmread(tmp_path / "out" / "IM0001.dcm")
    assert (header.RescaleSlope, header.RescaleIntercept, header.RescaleType) == (1, -1024, "HU")
    np.testing.assert_array_equal(header.pixel_array + header.RescaleIntercept, [[-1024, -1024, 40, 3071]])


@pytest.mark.parametrize("scale", [1e-7, 1.0, 3e6])
def test_values_of_any_size_come_back(tmp_path, scale):
    values = scale * np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    for kind, tolerance in (("dicom", 2e-4), ("nifti", 1e-7)):
        files = write_image(kind, tmp_path / kind / "a", values, plain_geometry((2.0, 3.0), 4.0), METHOD)
        again = read_image(files[0] if kind == "nifti" else tmp_path / kind / "a")
        np.testing.assert_allclose(again.values, values, atol=tolerance * scale * 5)
        np.testing.assert_allclose(again.spacing, (2.0, 3.0), rtol=1e-6)


def test_nifti_lies_in_space_as_its_source(tmp_path):
    volume = source_series(tmp_path / "in", *PLANES[1])
    write_nifti(tmp_path / "a.nii.gz", volume.values, volume.geometry, METHOD)
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == np.float32 and image.header["descrip"].item().decode() == METHOD
    assert image.header.get_xyzt_units()[0] == "mm" and image.header["intent_name"].item() == b"HU"
    where = coordinates(volume.values.shape, volume.geometry.affine)
    found = coordinates(image.shape, image.affine).transpose(0, 3, 2, 1)
    np.testing.assert_allclose(found, where, atol=1e-4)
    np.testing.assert_array_equal(image.get_fdata().transpose(2, 1, 0), volume.values)


def test_maps_stand_beside_the_image_and_keep_the_steps_they_need(tmp_path):
    geometry = plain_geometry(unit="HU")
    image = np.linspace(-1000, 1000, 20, dtype=np.float32).reshape(1, 4, 5)
    maps = {"image": image, "std": 0.001 * (image + 1000), "phase": np.float32(np.pi / 1000) * image}
    write_maps(("dicom", "nifti"), tmp_path / "a", maps, geometry, METHOD)
    for name, values in maps.items():
        np.testing.assert_allclose(read_image(tmp_path / f"a-{name}.nii.gz").values, values, rtol=1e-6)
        header = pydicom.dcmread(tmp_path / f"a-{name}" / "IM0001.dcm")
        assert header.RescaleType == ("rad" if name == "phase" else "HU")
        assert header.ImageComments == (METHOD if name == "image" else f"{METHOD}, {name}")
        stored = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
        np.testing.assert_allclose(stored, values[0], atol=0.5 if name == "image" else 1e-4)


@pytest.mark.parametrize("kind", sorted(EXPORTS))
def test_nothing_is_written_for_an_unknown_kind_or_nan(tmp_path, kind):
    with pytest.raises(ValueError, match="unknown export 'png'; choose one of dicom, nifti"):
        write_image("png", tmp_path / "a", np.zeros((1, 2, 2)), plain_geometry(), METHOD)
    if kind == "dicom":
        with pytest.raises(ValueError, match="NaN or Inf"):
            write_image(kind, tmp_path / "a", np.full((1, 2, 2), np.nan, np.float32), plain_geometry(), METHOD)
    assert not list(tmp_path.iterdir())


def test_frames_of_one_file_become_a_series_of_single_images(tmp_path):
    stored = np.random.default_rng(0).integers(0, 900, (12, 8))
    write_slice(tmp_path / "a.dcm", stored - 1000, NumberOfFrames=2, Rows=6, PatientName="Doe^Jane")
    volume = read_image(tmp_path / "a.dcm")
    geometry = Geometry(plain_geometry((0.5, 0.75)).affine, (tmp_path / "a.dcm",), volume.modality, volume.unit)
    files = write_image("dicom", tmp_path / "out", volume.values, geometry, METHOD)
    headers = [pydicom.dcmread(file) for file in files]
    assert all("NumberOfFrames" not in header and header.PatientName == "Doe^Jane" for header in headers)
    np.testing.assert_array_equal(read_image(tmp_path / "out").values, volume.values)


def converted_by_dcm2niix(folder, out):
    """The NIfTI file that dcm2niix (Li et al. 2016) makes of a folder."""
    program = shutil.which("dcm2niix") or shutil.which("dcm2niix", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("NO dcm2niix HERE: our DICOM series are read by our own reader alone; pip install dcm2niix")
    out.mkdir()
    subprocess.run([program, "-z", "n", "-f", "a", "-o", str(out), str(folder)], check=True, capture_output=True)
    (path,) = out.glob("*.nii")
    return path


def converted_by_dicom2nifti(folder, out):
    """The NIfTI file that dicom2nifti (icometrix) makes of a folder."""
    dicom2nifti = pytest.importorskip("dicom2nifti")
    out.mkdir()
    dicom2nifti.dicom_series_to_nifti(str(folder), str(out / "a.nii"), reorient_nifti=False)
    return out / "a.nii"


@pytest.mark.parametrize("convert", [converted_by_dcm2niix, converted_by_dicom2nifti], ids=["dcm2niix", "dicom2nifti"])
@pytest.mark.parametrize(("orientation", "step"), PLANES, ids=["axial", "sagittal", "coronal"])
def test_others_read_the_series_as_they_read_its_source(tmp_path, convert, orientation, step):
    volume = source_series(tmp_path / "in", orientation, step, count=6, modality="MR")
    write_image("dicom", tmp_path / "dicom", volume.values, volume.geometry, METHOD)
    write_image("nifti", tmp_path / "ours", volume.values, volume.geometry, METHOD)
    theirs = nibabel.as_closest_canonical(nibabel.load(convert(tmp_path / "dicom", tmp_path / "theirs")))
    ours = nibabel.as_closest_canonical(nibabel.load(tmp_path / "ours.nii.gz"))
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-4)
    np.testing.assert_allclose(theirs.get_fdata(), ours.get_fdata(), atol=0.05)


def test_dcmdump_reads_every_file_without_a_complaint(tmp_path):
    program = shutil.which("dcmdump")
    if program is None:
        pytest.skip("NO dcmdump HERE: DCMTK does not check our DICOM files; install dcmtk")
    volume = source_series(tmp_path / "in")
    for file in write_image("dicom", tmp_path / "out", volume.values, volume.geometry, METHOD):
        result = subprocess.run([program, "+W", str(tmp_path), str(file)], capture_output=True, text=True, check=True)
        assert not result.stderr and "Doe^Jane" in result.stdout and METHOD in result.stdout
