"""Readers against files written here with known contents, positions and damage."""

import gzip

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from scoreinv.datasets.resizing import fit_square, resize
from scoreinv.formats.images import read_image
from scoreinv.scans.intensity import IntensityScale, to_unit_range

SERIES = generate_uid()


def coordinates(shape, affine):
    """World coordinates (RAS, mm) of every voxel, [3, i, j, k]."""
    indices = np.stack([*np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), np.ones(shape)])
    return np.einsum("ab,bijk->aijk", affine, indices)[:3]


def write_slice(path, values, position=(0.0, 0.0, 0.0), orientation=(1, 0, 0, 0, 1, 0), series=SERIES, **attributes):
    """A CT slice whose stored pixels are values + 1024."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = CTImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = generate_uid()
    header.Modality, header.PatientID, header.SeriesInstanceUID = "CT", "P7", series
    header.ImagePositionPatient, header.ImageOrientationPatient = list(position), list(orientation)
    header.PixelSpacing, header.RescaleSlope, header.RescaleIntercept = [0.5, 0.75], 1, -1024
    header.Rows, header.Columns = values.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    header.PixelData = (values + 1024).astype(np.int16).tobytes()
    for name, value in attributes.items():
        setattr(header, name, value)
    header.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PIR", "ASL"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_of_any_orientation_is_axial_and_radiological(tmp_path, axes, suffix):
    spacing = np.array([2.0, 3.0, 5.0])  # along right, anterior, superior
    orientation = nibabel.orientations.axcodes2ornt(tuple(axes))
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(orientation.astype(int)):
        affine[world, axis] = sign * spacing[world]
    affine[3, 3] = 1
    right, anterior, superior = coordinates((4, 5, 6), affine)
    values = (right + 100 * anterior + 1000 * superior).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / f"a{suffix}")
    volume = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(np.diff(volume.values, axis=0), 5000, rtol=1e-4)
    np.testing.assert_allclose(np.diff(volume.values, axis=1), -300, rtol=1e-4)
    np.testing.assert_allclose(np.diff(volume.values, axis=2), -2, rtol=1e-2)
    np.testing.assert_allclose(volume.spacing, (3.0, 2.0), rtol=1e-6)


def test_a_volume_of_four_axes_is_chosen_by_its_number_and_scaled(tmp_path):
    values = np.arange(2 * 3 * 4 * 2, dtype=np.int16).reshape(2, 3, 4, 2)
    image = nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.set_slope_inter(2.0, 10.0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    stored = np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj)
    for key, number in {"": 0, "0": 0, "1": 1}.items():
        volume = read_image(tmp_path / "a.nii.gz", key)
        np.testing.assert_array_equal(volume.values, stored[..., number].transpose(2, 1, 0))
        assert any(f"volume {number} of 2 is taken" in note for note in volume.notes)
    for key in ("2", "-1", "t1", "9" * 99):
        with pytest.raises(ValueError, match=r"names no volume of .*; allowed: numbers of its 2 volumes, 0 to 1"):
            read_image(tmp_path / "a.nii.gz", key)
    nibabel.save(nibabel.Nifti1Image(values[..., 0], np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(ValueError, match="allowed: none, it holds one volume"):
        read_image(tmp_path / "b.nii", "1")


def test_dicom_slice_is_in_hounsfield_units_without_padding(tmp_path):
    values = np.array([[-3024, -1000, 40], [60, 1500, 3071]])
    write_slice(tmp_path / "a.dcm", values)
    volume = read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(volume.values, np.maximum(values, -1024)[None])
    assert (volume.spacing, volume.modality, volume.subject, volume.unit) == ((0.5, 0.75), "CT", "P7", "HU")


def test_dicom_series_is_sorted_by_position(tmp_path):
    for name, z in (("a", 20.0), ("b", 0.0), ("c", 10.0)):
        write_slice(tmp_path / f"{name}.dcm", np.full((3, 4), int(z)) + np.arange(3)[:, None], (0.0, 0.0, z))
    (tmp_path / "notes.txt").write_text("not a DICOM file")
    volume = read_image(tmp_path)
    expected = np.array([0, 10, 20])[:, None, None] + np.arange(3)[:, None] + np.zeros(4)
    np.testing.assert_array_equal(volume.values, expected)
    assert volume.spacing == (0.5, 0.75)


def test_a_sagittal_dicom_series_stays_as_acquired_or_becomes_axial(tmp_path):
    # Rows run downwards, columns to the back; slices one millimetre apart towards the patient's left (LPS).
    for x in range(4):
        rows, columns = np.mgrid[:3, :5]
        write_slice(tmp_path / f"{x}.dcm", 100 * rows + 10 * columns + x, (x, 0, 0), (0, 1, 0, 0, 0, -1))
    volume = read_image(tmp_path)
    x, z, y = np.mgrid[:4, :3, :5]
    np.testing.assert_array_equal(volume.values, 100 * z + 10 * y + x)
    assert volume.spacing == (0.5, 0.75) and "sagittal slices, as acquired" in volume.notes
    assert [path.name for path in volume.geometry.sources] == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    axial = read_image(tmp_path, slices="axial")
    z, y, x = np.mgrid[:3, :5, :4]
    np.testing.assert_array_equal(axial.values, 100 * (2 - z) + 10 * y + x)
    np.testing.assert_allclose(axial.spacing, (0.75, 1.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("positions", "message"),
    [([0, 1, 3, 4], "evenly spaced"), ([0, 1, 1, 2], "evenly spaced"), ([0, 0, 0], "evenly spaced")],
)
def test_missing_or_doubled_slices_are_refused(tmp_path, positions, message):
    for i, z in enumerate(positions):
        write_slice(tmp_path / f"{i}.dcm", np.zeros((2, 2)), (0, 0, z))
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path)


def test_mixed_dicom_folders_are_refused(tmp_path):
    write_slice(tmp_path / "a.dcm", np.zeros((2, 2)))
    write_slice(tmp_path / "b.dcm", np.zeros((2, 3)), (0, 0, 1))
    with pytest.raises(ValueError, match=r"image sizes \[\(2, 2\), \(2, 3\)\]"):
        read_image(tmp_path)
    write_slice(tmp_path / "b.dcm", np.zeros((2, 2)), (0, 0, 1), series=generate_uid())
    with pytest.raises(ValueError, match="holds 2 series"):
        read_image(tmp_path)


def test_undecodable_dicom_names_the_transfer_syntax(tmp_path):
    write_slice(tmp_path / "a.dcm", np.zeros((2, 2)))
    header = pydicom.dcmread(tmp_path / "a.dcm")
    header.file_meta.TransferSyntaxUID = "1.2.3.4.5"
    header.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
    with pytest.raises(ValueError, match=r"transfer syntax '1\.2\.3\.4\.5'.*allowed"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"NumberOfFrames": 5}, "cannot decode"),
        ({"SamplesPerPixel": 3}, "3 samples"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"PixelData": b"1"}, "cannot decode"),
        ({"Rows": 60000, "Columns": 60000}, "GiB"),
    ],
)
def test_unusable_dicom_is_refused(tmp_path, attributes, message):
    write_slice(tmp_path / "a.dcm", np.zeros((2, 2)), **attributes)
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "a.dcm")


def test_arrays_are_read_as_they_are(tmp_path):
    values = np.random.default_rng(0).random((3, 4, 5))
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").values, values.astype(np.float32))
    np.savez(tmp_path / "a.npz", image=values[0], other=values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npz", key="image").values, values[:1].astype(np.float32))
    with pytest.raises(ValueError, match=r"choose data\.key, one of image, other"):
        read_image(tmp_path / "a.npz")


def test_hdf5_datasets_are_chosen_by_key(tmp_path):
    h5py = pytest.importorskip("h5py")
    values = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/rss"] = values
        file["mask"] = np.ones(5)
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5", key="scan/rss").values, values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5").values, values)  # the only image
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["other"] = values
    with pytest.raises(ValueError, match=r"choose data\.key, one of mask, other, scan/rss"):
        read_image(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"shape \(5,\); allowed: real numbers \[H, W\]"),
        (np.zeros((2, 2), bool), "holds bool"),
        (np.zeros((2, 2), complex), "take magnitudes"),
        (np.array([[1.0, np.nan], [np.inf, 0.0]]), "holds 2 NaN or Inf"),
        (np.zeros((0, 3)), "which is empty"),
        (np.array([[{}]]), "holds Python objects; allowed: arrays of numbers"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message) as error:
        read_image(tmp_path / "a.npy")
    assert "\n" not in str(error.value)


def test_declared_size_is_checked_before_reading(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "huge.nii").write_bytes(header.binaryblock + bytes(100))
    with pytest.raises(ValueError, match=r"declares shape \(30000, 30000, 30000\)"):
        read_image(tmp_path / "huge.nii")


def write_as(path, values):
    """A volume [X, Y, Z] in the format that the name says; in DICOM its first slice."""
    if path.suffix in (".nii", ".gz"):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    elif path.suffix == ".dcm":
        write_slice(path, values[..., 0])
    else:
        (np.save if path.suffix == ".npy" else np.savez)(path, values)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".npy", ".npz", ".dcm"])
@pytest.mark.parametrize("kept", [0.97, 0.5, 0.02, 0.0])
def test_truncated_files_are_refused_in_one_line(tmp_path, suffix, kept):
    values = np.random.default_rng(0).integers(0, 1000, (64, 64, 5)).astype(np.int16)
    path = write_as(tmp_path / f"a{suffix}", values)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"a\.") as error:
        read_image(path)
    assert "\n" not in str(error.value)


def test_corrupt_compressed_stream_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), tmp_path / "a.nii")
    packed = bytearray(gzip.compress((tmp_path / "a.nii").read_bytes()))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "a.nii.gz").write_bytes(packed)
    with pytest.raises(ValueError, match="damaged or truncated"):
        read_image(tmp_path / "a.nii.gz")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".npy", ".npz", ".dcm"])
def test_damaged_headers_give_an_image_or_one_line(tmp_path, suffix):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1000, (8, 9, 5)).astype(np.int16)
    path = write_as(tmp_path / f"a{suffix}", values)
    whole, refused = path.read_bytes(), 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert np.isfinite(read_image(path).values).all()
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and path.name in str(error)
    assert refused


def test_missing_and_unknown_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_image(tmp_path / "none.nii")
    with pytest.raises(ValueError, match="holds no DICOM file"):
        read_image(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"no known image file; allowed: \.npy"):
        read_image(tmp_path / "a.txt")


def test_intensity_presets_have_their_definition():
    rng = np.random.default_rng(0)
    values = np.concatenate([np.zeros(1000), rng.uniform(100, 200, 1000)]).astype(np.float32).reshape(2, 10, 100)
    hounsfield, scale = to_unit_range(values, "ct_window", low=-50.0, high=150.0)
    np.testing.assert_allclose(hounsfield, np.clip((values + 50) / 200, 0, 1), atol=1e-6)
    assert scale == IntensityScale(200.0, -50.0)
    _, scale = to_unit_range(values, "percentile")
    np.testing.assert_allclose(scale.scale, np.percentile(values[values > 0], 99.5), rtol=1e-6)
    assert scale.offset == 0
    unit, scale = to_unit_range(values, "min_max")
    np.testing.assert_allclose(scale.restore(unit), values, atol=1e-4)
    spike = values.copy()
    spike[0, 0, 0] = 1e4
    mean, deviation = spike.mean(), spike.std()
    unit, scale = to_unit_range(spike, "mean_std")
    np.testing.assert_allclose(scale.scale, mean + 6 * deviation, rtol=1e-4)
    assert unit.max() == 1 and scale.offset == 0


def test_images_already_in_the_unit_range_stay():
    values = np.array([[[0.25, 1.0]]], np.float32)
    unit, scale = to_unit_range(values, "none")
    np.testing.assert_array_equal(unit, values)
    assert scale == IntensityScale(1.0, 0.0)
    with pytest.raises(ValueError, match=r"run from 0\.5 to 2, but preset 'none' takes"):
        to_unit_range(2 * values, "none")


def test_intensity_mistakes_are_refused():
    with pytest.raises(ValueError, match="unknown intensity preset 'hu'; choose one of ct_window"):
        to_unit_range(np.zeros((1, 2, 2), np.float32), "hu")
    with pytest.raises(ValueError, match=r"maps \[0, 0\]"):
        to_unit_range(np.zeros((1, 2, 2), np.float32), "min_max")
    with pytest.raises(ValueError, match=r"window \[100, -100\].*low < high"):
        to_unit_range(np.zeros((1, 2, 2), np.float32), "ct_window", low=100.0, high=-100.0)


def test_resize_averages_and_keeps_the_field_of_view():
    y, x = np.mgrid[:64, :48].astype(np.float32)
    ramp = (y + 2 * x) / 200
    small = resize(ramp, (16, 12))
    blocks = ramp.reshape(16, 4, 12, 4).mean((1, 3))
    np.testing.assert_allclose(small[2:-2, 2:-2], blocks[2:-2, 2:-2], atol=1e-5)
    noise = np.random.default_rng(0).random((256, 256)).astype(np.float32)
    assert resize(noise, (32, 32)).std() < noise.std() / 5  # antialiased: 64 pixels go into one
    np.testing.assert_allclose(resize(ramp[..., None], (16, 12))[..., 0], small)


def test_fit_square_crops_and_pads_about_the_centre():
    image = np.zeros((20, 30), np.float32)
    image[5:15, 10:20] = 1
    np.testing.assert_array_equal(fit_square(image, 30), np.pad(image, ((5, 5), (0, 0))))
    np.testing.assert_array_equal(fit_square(image, 10, field_of_view=10.0), np.ones((10, 10)))
    np.testing.assert_array_equal(fit_square(image, 40, field_of_view=40.0), np.pad(image, ((10, 10), (5, 5))))


def test_fit_square_makes_pixels_square():
    # A disc of radius 10 mm on a grid of 1 x 2 mm.
    y, x = np.mgrid[:40, :20]
    disc = ((y - 19.5) ** 2 + (2 * (x - 9.5)) ** 2 <= 100).astype(np.float32)
    square = fit_square(disc, 80, spacing=(1.0, 2.0))
    half = np.argwhere(square > 0.5)
    extent = np.ptp(half, axis=0) + 1
    np.testing.assert_allclose(extent, 40, atol=4)
    np.testing.assert_allclose(square.sum() / 4, np.pi * 100, rtol=0.05)
