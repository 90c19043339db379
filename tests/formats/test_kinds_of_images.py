"""Images of every kind that scanners, viewers and other programs write: the right picture, or one line."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import scipy.io
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, MRImageStorage, RLELossless

from configs import default
from scoreinv.build.tasks import load_image
from scoreinv.formats import nifti
from scoreinv.formats.dicom_files import codestream_size
from scoreinv.formats.images import read_image
from scoreinv.scans.intensity import doubts, to_unit_range
from tests.formats.test_images import write_slice

BRAIN = np.random.default_rng(0).integers(0, 900, (24, 20))


def mr(path, values, **attributes):
    fields = {"Modality": "MR", "SOPClassUID": MRImageStorage, "RescaleSlope": 1, "RescaleIntercept": 0}
    write_slice(path, values - 1024, **(fields | attributes))


def picture(path, **fields):
    """The image in [0, 1] that a run would take from a file, as MRI."""
    config = default.get_config()
    config.data.update(fields)
    return load_image(str(path), config).image[..., 0]


def test_monochrome1_is_turned_back(tmp_path):
    mr(tmp_path / "a.dcm", BRAIN)
    mr(tmp_path / "b.dcm", 1000 - BRAIN, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(picture(tmp_path / "b.dcm"), picture(tmp_path / "a.dcm"), atol=1e-5)


def test_hounsfield_units_stay_in_an_inverted_ct(tmp_path):
    write_slice(tmp_path / "a.dcm", BRAIN - 1000, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").values[0], BRAIN - 1000)


@pytest.mark.parametrize(("stored", "named"), [(32767, 32767), (-2000, -2000), (-2000, 63536)])
def test_padding_is_background(tmp_path, stored, named):
    inside = np.hypot(*np.mgrid[-1:1:24j, -1:1:20j]) < 1
    mr(tmp_path / "a.dcm", np.where(inside, BRAIN + 50, stored))
    header = pydicom.dcmread(tmp_path / "a.dcm")
    header.add_new("PixelPaddingValue", "US" if named > 2**15 else "SS", named)
    header.save_as(tmp_path / "a.dcm")
    found = read_image(tmp_path / "a.dcm").values[0]
    np.testing.assert_array_equal(found, np.where(inside, BRAIN + 50, (BRAIN + 50)[inside].min()))


def test_a_range_of_padding_is_background(tmp_path):
    mr(tmp_path / "a.dcm", BRAIN, PixelPaddingValue=0, PixelPaddingRangeLimit=99)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.dcm").values[0], np.where(BRAIN < 100, BRAIN[BRAIN >= 100].min(), BRAIN)
    )
    mr(tmp_path / "a.dcm", np.full((4, 4), 7), PixelPaddingValue=7)
    with pytest.raises(ValueError, match="padding throughout"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize("private", [True, False])
def test_a_mosaic_is_cut_into_slices(tmp_path, private):
    slices = np.random.default_rng(1).integers(1, 900, (7, 8, 6))
    grid = np.concatenate([slices, np.zeros((2, 8, 6), int)]).reshape(3, 3, 8, 6).swapaxes(1, 2).reshape(24, 18)
    fields = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}
    if not private:
        fields["AcquisitionMatrix"] = [8, 0, 0, 6]
    mr(tmp_path / "a.dcm", grid, **fields)
    if private:
        header = pydicom.dcmread(tmp_path / "a.dcm")
        header.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 7)
        header.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").values, slices)
    mr(tmp_path / "a.dcm", grid[:, :17], **fields)
    with pytest.raises(ValueError, match="mosaic whose header does not tell"):
        read_image(tmp_path / "a.dcm")


def enhanced(path, values, positions, slopes):
    """An enhanced multi-frame object: what differs between frames stands in its functional groups."""
    mr(path, values.reshape(-1, values.shape[2]), NumberOfFrames=len(values), Rows=values.shape[1])
    header = pydicom.dcmread(path)
    header.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    shared = header.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [pydicom.Dataset()], [pydicom.Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [2.0, 2.0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    frames = []
    for position, slope in zip(positions, slopes, strict=True):
        frame, plane, unit = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        plane.ImagePositionPatient, unit.RescaleSlope, unit.RescaleIntercept = [0, 0, position], slope, 1
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [plane], [unit]
        frames.append(frame)
    header.PerFrameFunctionalGroupsSequence = frames
    header.save_as(path)


def test_enhanced_frames_are_sorted_and_scaled_each_as_it_says(tmp_path):
    values = np.random.default_rng(2).integers(0, 100, (4, 6, 5))
    enhanced(tmp_path / "a.dcm", values, (4.0, 0.0, 2.0, 6.0), (1, 2, 3, 4))
    volume = read_image(tmp_path / "a.dcm")
    expected = values * np.array([1, 2, 3, 4])[:, None, None] + 1
    np.testing.assert_array_equal(volume.values, expected[[1, 2, 0, 3]])
    assert volume.spacing == (2.0, 2.0)
    enhanced(tmp_path / "a.dcm", values, (0.0, 0.0, 2.0, 2.0), (1, 1, 1, 1))
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").values, values + 1)
    assert "4 frames in the order of the file" in read_image(tmp_path / "a.dcm").notes


def test_a_frame_is_chosen_by_slice_index(tmp_path):
    frames = np.stack([BRAIN, BRAIN // 2])
    mr(tmp_path / "a.dcm", frames.reshape(-1, 20), NumberOfFrames=2, Rows=24)
    config = default.get_config()
    config.slice_index = 1
    np.testing.assert_allclose(load_image(str(tmp_path / "a.dcm"), config).image[..., 0].max(), 0.5, atol=0.01)


def test_two_echoes_at_each_position_are_told_apart(tmp_path):
    for echo, time in enumerate((10.0, 20.0)):
        for z in range(3):
            mr(tmp_path / f"{echo}{z}.dcm", BRAIN + 100 * echo, position=(0, 0, z), EchoTime=time, InstanceNumber=z)
    with pytest.raises(
        ValueError, match=r"2 images at each of 3 positions, EchoTime 10.0, 20.0; .*data\.key=EchoTime=10"
    ):
        read_image(tmp_path)
    np.testing.assert_array_equal(read_image(tmp_path, key="EchoTime=20").values[0], BRAIN + 100)


def test_several_series_are_listed_with_how_to_choose(tmp_path):
    (tmp_path / "deep").mkdir()
    for number, name in ((3, "T1"), (7, "T2")):
        for z in range(2):
            mr(tmp_path / "deep" / f"IM{number}{z}", BRAIN + number, position=(0, 0, z), series=f"1.{number}",
               SeriesNumber=number, SeriesDescription=name)  # fmt: skip
    with pytest.raises(
        ValueError, match=r"2 series: 3 'T1' \(2 files\); 7 'T2' \(2 files\); choose: --config\.data\.key=3"
    ):
        read_image(tmp_path)
    for key in ("7", "T2", "1.7"):
        np.testing.assert_array_equal(read_image(tmp_path, key=key).values[0], BRAIN + 7)
    with pytest.raises(ValueError, match="nothing that '9' names"):
        read_image(tmp_path, key="9")


@pytest.mark.parametrize("implicit", [True, False])
def test_a_data_set_without_preamble_and_suffix_is_read(tmp_path, implicit):
    mr(tmp_path / "a.dcm", BRAIN)
    header = pydicom.dcmread(tmp_path / "a.dcm")
    header.preamble = None
    del header.file_meta
    pydicom.dcmwrite(tmp_path / "IM0001", header, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(read_image(tmp_path / "IM0001").values[0], BRAIN)


@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian])
def test_compressed_dicom(tmp_path, syntax):
    mr(tmp_path / "a.dcm", BRAIN)
    header = pydicom.dcmread(tmp_path / "a.dcm")
    if syntax == RLELossless:
        header.compress(RLELossless)
    header.file_meta.TransferSyntaxUID = syntax
    header.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").values[0], BRAIN)


SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    "name",
    [
        "JPEGLSNearLossless_16.dcm",
        "JPGExtended.dcm",
        "JPEG2000.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ],
)
def test_jpeg_of_every_kind_that_pydicom_ships(name):
    if not (SHIPPED / name).is_file():
        pytest.skip(f"this pydicom comes without {name}")
    assert np.ptp(read_image(SHIPPED / name).values) > 0


def test_a_codestream_says_its_size():
    assert codestream_size(b"\xff\xd8\xff\xe0\x00\x04ab\xff\xf7\x00\x0b\x08\x00\x10\x00\x20" + bytes(9)) == (16, 32)
    j2k = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + b"".join(n.to_bytes(4, "big") for n in (70, 50, 10, 20))
    assert codestream_size(j2k) == (30, 60)
    assert codestream_size(b"\x00" * 40) is None


def test_a_frame_of_another_size_is_refused_before_it_is_decoded(tmp_path):
    mr(tmp_path / "a.dcm", BRAIN)
    header = pydicom.dcmread(tmp_path / "a.dcm")
    j2k = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + b"".join(n.to_bytes(4, "big") for n in (60000, 60000, 0, 0)) + bytes(50)
    header.PixelData = pydicom.encaps.encapsulate([j2k])
    header["PixelData"].VR = "OB"
    header.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    header.save_as(tmp_path / "a.dcm")
    with pytest.raises(ValueError, match=r"holds a frame of \(60000, 60000\), its header says \(24, 20\)"):
        read_image(tmp_path / "a.dcm")


def test_nifti_with_two_axes_pairs_and_mgh(tmp_path):
    values = np.arange(24 * 20 * 3).reshape(24, 20, 3).astype(np.int16)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(values[..., 0], affine), tmp_path / "flat.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "flat.nii.gz").values[0], values[..., 0].T)
    nibabel.save(nibabel.Nifti1Pair(values, affine), tmp_path / "pair.img")
    nibabel.save(nibabel.MGHImage(values.astype(np.float32), affine), tmp_path / "a.mgz")
    for name in ("pair.img", "pair.hdr", "a.mgz"):
        np.testing.assert_array_equal(read_image(tmp_path / name).values, values.transpose(2, 1, 0))
    nibabel.save(nibabel.AnalyzeImage(values, None), tmp_path / "old.img")
    nibabel.save(nibabel.Nifti1Image(values, None), tmp_path / "bare.nii")
    for name in ("old.img", "old.hdr", "bare.nii"):
        volume = read_image(tmp_path / name)
        np.testing.assert_array_equal(volume.values, values.transpose(2, 1, 0)[:, ::-1])
        assert any("says no orientation" in note for note in volume.notes)
    (tmp_path / "pair.img").unlink()
    with pytest.raises(ValueError, match=r"needs 'pair\.img' beside it"):
        read_image(tmp_path / "pair.hdr")


def test_a_name_does_not_say_whether_nifti_is_compressed(tmp_path):
    content = nibabel.Nifti1Image(BRAIN.astype(np.int16), np.diag([-1.0, -1.0, 1.0, 1.0])).to_bytes()
    (tmp_path / "a.nii").write_bytes(gzip.compress(content))
    (tmp_path / "a.nii.gz").write_bytes(content)
    for name in ("a.nii", "a.nii.gz"):
        np.testing.assert_array_equal(read_image(tmp_path / name).values[0], BRAIN.T)
    (tmp_path / "scan.hdr").write_text("# Dimensions\n12 10 1 1\n")
    with pytest.raises(ValueError, match=r"BART's \.hdr is a measurement"):
        read_image(tmp_path / "scan.hdr")


def test_matlab_images_have_their_slices_last(tmp_path):
    values = np.random.default_rng(0).random((40, 36, 5))
    scipy.io.savemat(tmp_path / "a.mat", {"volume": values, "spacing": [1.0, 2.0, 3.0], "name": "brain"})
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.mat", key="volume").values, np.float32(values).transpose(2, 0, 1)
    )


def test_complex_and_colour_nifti(tmp_path):
    nibabel.save(
        nibabel.Nifti1Image((BRAIN * (0.6 + 0.8j)).astype(np.complex64)[..., None], np.eye(4)), tmp_path / "a.nii"
    )
    volume = read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(np.sort(volume.values.ravel()), np.sort(BRAIN.ravel()), atol=1e-3)
    assert "complex values, their magnitude is taken" in volume.notes
    colour = np.zeros((8, 8, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colour, np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(ValueError, match="colour perhaps"):
        read_image(tmp_path / "b.nii")


def test_coarse_slices_of_nifti_stay_as_acquired(tmp_path):
    values = np.random.default_rng(0).random((5, 30, 40)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([6.0, 2.0, 2.0, 1.0])), tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    assert volume.values.shape == (5, 40, 30) and "sagittal slices, as acquired" in volume.notes
    np.testing.assert_array_equal(volume.values, values[::-1, ::-1, ::-1].transpose(0, 2, 1))
    assert read_image(tmp_path / "a.nii", slices="axial").values.shape == (40, 30, 5)


def test_nan_around_the_object_is_background_and_inside_it_a_mistake(tmp_path):
    inside = np.hypot(*np.mgrid[-1:1:24j, -1:1:20j]) < 0.8
    values = np.where(inside, BRAIN + 5, np.nan).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    volume = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(volume.values[0], np.where(inside, BRAIN + 5, 0))
    assert any("NaN outside" in note for note in volume.notes)
    np.save(tmp_path / "a.npy", np.where(inside, np.nan, 1.0))
    with pytest.raises(ValueError, match="NaN or Inf values inside"):
        read_image(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="NaN or Inf values inside"):
        read_image(tmp_path / "a.npy")


def test_slices_of_an_array_lie_along_its_short_axis_or_the_one_that_is_named(tmp_path):
    values = np.random.default_rng(0).random((40, 36, 5)).astype(np.float32)
    for axis in (0, 1, 2):
        np.save(tmp_path / "a.npy", np.moveaxis(values, 2, axis))
        np.testing.assert_array_equal(read_image(tmp_path / "a.npy").values, values.transpose(2, 0, 1))
    first = read_image(tmp_path / "a.npy", slices="0")
    np.testing.assert_array_equal(first.values, values)
    assert any("is this the right axis" in note for note in first.notes)
    np.save(tmp_path / "rgb.npy", np.zeros((40, 36, 3), np.uint8))
    for shape, axis in {(40, 40, 24): 2, (24, 40, 40): 0, (40, 24, 40): 1, (40, 30, 24): 0}.items():
        np.save(tmp_path / "a.npy", np.zeros(shape))
        volume = read_image(tmp_path / "a.npy")
        assert len(volume.values) == shape[axis] and bool(volume.notes) == (shape[0] != 24)
    with pytest.raises(ValueError, match=r"picture in colour, or has 3 slices; .*slice_axis=2"):
        read_image(tmp_path / "rgb.npy")
    assert read_image(tmp_path / "rgb.npy", slices="2").values.shape == (3, 40, 36)
    with pytest.raises(ValueError, match="unknown slice axis 'x'"):
        read_image(tmp_path / "rgb.npy", slices="x")
    with pytest.raises(ValueError, match="is an array; give its axis"):
        read_image(tmp_path / "rgb.npy", slices="axial")


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "P", "LA"])
def test_gray_pictures(tmp_path, mode):
    gray = (BRAIN // 4).astype(np.uint8)
    image = Image.fromarray(BRAIN.astype(np.uint16) if mode == "I;16" else gray)
    (image if mode == "I;16" else image.convert(mode)).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png").values[0]
    np.testing.assert_array_equal(found, BRAIN if mode == "I;16" else gray)
    Image.fromarray(np.stack([gray, gray, 0 * gray], -1)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="in colour"):
        read_image(tmp_path / "b.png")


def test_pixels_that_are_not_square_are_said(tmp_path):
    mr(tmp_path / "a.dcm", BRAIN)
    assert "pixels of 0.5 x 0.75 mm are not square, they are taken as they are" in read_image(tmp_path / "a.dcm").notes


HU = np.where(np.hypot(*np.mgrid[-1:1:32j, -1:1:32j]) < 0.8, 40.0, -1000.0).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((HU + 1000) / 1040, r"cover 0\.049 % of the window \[-1024, 1024\]"),
        (0.02 * (1 + HU / 1000), "cover"),
        (HU + 1024, "is 1024 added"),
        (64 * (HU + 1000), "without air"),
        (np.clip((HU + 1000) / 1040 * 255, 0, 255), "cover 12 %"),
        (0 * HU, "cover 0 %"),
    ],
)
def test_values_that_are_no_hounsfield_units_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        to_unit_range(values.astype(np.float32), "ct_window")


def test_ct_without_air_is_doubted():
    assert not doubts(HU, "ct_window", -1024.0, 1024.0)
    assert "no air in it" in doubts(HU + 900, "ct_window", -1024.0, 1024.0)[0]
    assert not doubts(HU + 900, "percentile", -1024.0, 1024.0)
    for extreme in (32767.0, -32768.0):
        padded = np.where(BRAIN < 100, np.float32(extreme), np.abs(BRAIN)).astype(np.float32)
        assert f"all values but {extreme:g} lie in" in doubts(padded, "percentile", -1024.0, 1024.0)[0]
    assert not doubts((BRAIN > 100).astype(np.float32), "percentile", -1024.0, 1024.0)


def test_ct_without_rescale_tags_is_not_in_hounsfield_units(tmp_path):
    write_slice(tmp_path / "a.dcm", HU.astype(int))
    header = pydicom.dcmread(tmp_path / "a.dcm")
    del header.RescaleSlope, header.RescaleIntercept
    header.save_as(tmp_path / "a.dcm")
    volume = read_image(tmp_path / "a.dcm")
    assert volume.unit == "" and "CT without RescaleSlope and RescaleIntercept" in volume.notes[0]
    with pytest.raises(ValueError, match=r"a\.dcm'.*is 1024 added, or the rescale missing"):
        picture(tmp_path / "a.dcm", intensity="ct_window")


@pytest.mark.parametrize("constant", [0.0, 1.0, -3.7, 0.1, 1e-30, 123456.789])
@pytest.mark.parametrize("preset", ["percentile", "mean_std", "min_max", "ct_window"])
def test_a_constant_volume_is_refused(constant, preset):
    for shape in ((1, 5, 7), (3, 33, 31)):
        with pytest.raises(ValueError, match=r"constant|cover"):
            to_unit_range(np.full(shape, constant, np.float32), preset)


@pytest.mark.parametrize("window", [(-1000.0, np.inf), (-np.inf, 0.0), (np.nan, 1.0), (1.0, 1.0)])
def test_a_window_without_width_or_end_is_refused(window):
    with pytest.raises(ValueError, match="finite numbers, low < high"):
        to_unit_range(HU, "ct_window", *window)


def test_key_percentiles_and_window_of_the_configuration_are_those_of_images_too(tmp_path):
    np.savez(tmp_path / "a.npz", first=BRAIN, second=2.0 * BRAIN.T)
    assert picture(tmp_path / "a.npz", key="second").shape == (20, 24)
    lower = picture(tmp_path / "a.npz", key="first", percentiles=(50.0, 99.0))
    assert np.mean(lower == 0) >= 0.5
    np.save(tmp_path / "ct.npy", HU)
    narrow = picture(tmp_path / "ct.npy", intensity="ct_window", window=(-160.0, 240.0))
    np.testing.assert_allclose(np.unique(narrow), [0, 0.5], atol=1e-6)


def test_volumes_are_read_plane_by_plane(tmp_path):
    """As nibabel scales to float64, a volume read at once would take three times its size."""
    values = np.random.default_rng(0).integers(0, 99, (16, 16, 4)).astype(np.int16)
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    content = gzip.compress(image.to_bytes())
    (tmp_path / "a.nii.gz").write_bytes(content)
    found = nifti.read_nifti(tmp_path / "a.nii.gz").values
    expected = nibabel.load(tmp_path / "a.nii.gz").get_fdata().transpose(2, 1, 0)[:, ::-1, ::-1]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
