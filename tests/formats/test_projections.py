"""Projections as scanners and beam lines write them: DICOM-CT-PD, TIFF, Data Exchange, MATLAB structures."""

import h5py
import numpy as np
import pydicom
import pytest
import scipy.io
import tifffile
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from scoreinv.formats.arrays import read_arrays
from scoreinv.scans.ct_readings import SinogramSettings
from scoreinv.scans.sinogram import sinogram_scan
from tests.scans.ellipses import fan

SIDE, VIEWS, COLUMNS, ROWS = 32, 48, 61, 2
NEAR, FAR, PITCH, AXIS, WATER, PIXEL = 300.0, 500.0, 2.0, 29.25, 0.0192, 1.1
TURN = 2 * np.pi * np.arange(VIEWS) / VIEWS
GAMMA = PITCH * (np.arange(COLUMNS) - AXIS) / FAR  # an arc
PROJECTIONS = np.maximum(WATER * PIXEL * fan(SIDE, TURN, GAMMA, NEAR / PIXEL), 0)


def write_view(path, number, view, table=0.0, implicit_types=False):
    meta, d = FileMetaDataset(), Dataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = d.SOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
    d.file_meta = meta
    d.Modality, d.PatientID, d.InstanceNumber = "CT", "phantom", number + 1
    slope = 1e-4
    stored = np.round(np.stack([view, 0.5 * view], 1) / slope).astype("<u2")  # [columns, rows]
    d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = COLUMNS, ROWS, 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
    d.RescaleSlope, d.RescaleIntercept = slope, 0
    numbers = {
        0x70311001: [TURN[number]],
        0x70311002: [table],
        0x70311003: [NEAR],
        0x70311031: [FAR],
        0x70311033: [AXIS + 1, 1.5],
        0x70291002: [PITCH],
        0x70291006: [1.0],
        0x70411001: [WATER],
    }
    for tag, values in numbers.items():
        if implicit_types:
            d.add_new(tag, "UN", np.asarray(values, "<f4").tobytes())
        else:
            d.add_new(tag, "FL", values if len(values) > 1 else values[0])
    d.add_new(0x70291010, "US", ROWS)
    d.add_new(0x70291011, "US", COLUMNS)
    d.add_new(0x7029100B, "LO", "CYLINDRICAL")
    d.PixelData = stored.tobytes()
    d.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("implicit_types", [False, True])
def test_dicom_ct_pd_gives_line_integrals_with_their_geometry_and_hounsfield_units(tmp_path, implicit_types):
    for number in range(VIEWS):
        write_view(tmp_path / f"{VIEWS - number:03d}.dcm", number, PROJECTIONS[number], implicit_types=implicit_types)
    arrays = read_arrays(tmp_path)
    assert arrays["sinogram"].shape == (VIEWS, ROWS, COLUMNS)
    np.testing.assert_allclose(arrays["sinogram"][:, 0], PROJECTIONS, atol=1e-4)
    np.testing.assert_allclose(arrays["angles"], TURN, atol=1e-6)
    assert arrays["curved"] == 1
    scan = sinogram_scan("scan", arrays, SinogramSettings(row=0))
    assert scan.unit == "HU"
    assert scan.spacing == pytest.approx((PITCH * NEAR / FAR,) * 2)
    measurement = scan.measurement
    hu = scan.scale * np.asarray(measurement.operator.inverse(measurement.y)) + scan.offset
    middle = hu.shape[0] // 2
    assert abs(hu[middle - 2, middle + 4 : middle + 7].mean()) < 100  # water within the ellipse, 1000 wide


def test_a_table_that_moves_and_a_folder_of_something_else_are_refused(tmp_path):
    for number in range(3):
        write_view(tmp_path / f"{number}.dcm", number, PROJECTIONS[number], table=4.0 * number)
    with pytest.raises(ValueError, match=r"moves by 8 mm.*rebin"):
        read_arrays(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match="holds no measurement"):
        read_arrays(tmp_path / "other")


def test_tiff_sinograms_and_stacks(tmp_path):
    tifffile.imwrite(tmp_path / "sinogram.tif", PROJECTIONS.astype(np.float32))
    np.testing.assert_allclose(read_arrays(tmp_path / "sinogram.tif")["sinogram"], PROJECTIONS, rtol=1e-6)
    (tmp_path / "views").mkdir()
    for number in range(4):
        view = np.stack([PROJECTIONS[number]] * ROWS).astype(np.float32)
        tifffile.imwrite(tmp_path / "views" / f"view_{number:04d}.tiff", view)
    np.testing.assert_allclose(read_arrays(tmp_path / "views")["sinogram"][:, 1], PROJECTIONS[:4], rtol=1e-6)
    tifffile.imwrite(tmp_path / "views" / "view_9999.tif", np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="one size"):
        read_arrays(tmp_path / "views")
    tifffile.imwrite(tmp_path / "colours.tif", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(ValueError, match="one gray image"):
        read_arrays(tmp_path / "colours.tif")
    (tmp_path / "broken.tif").write_bytes(b"II*\0" + bytes(40))
    with pytest.raises(ValueError, match=r"broken\.tif"):
        read_arrays(tmp_path / "broken.tif")


def test_data_exchange_and_structures_of_matlab_are_understood(tmp_path):
    angles = np.pi * np.arange(VIEWS) / VIEWS
    from tests.scans.ellipses import parallel

    y = 0.02 * parallel(SIDE, angles, COLUMNS)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"] = np.stack([900 * np.exp(-y) + 100] * 2, 1).astype(np.float32)
        file["exchange/data_white"] = np.full((5, 2, COLUMNS), 1000.0)
        file["exchange/data_dark"] = np.full((5, 2, COLUMNS), 100.0)
        file["exchange/theta"] = np.rad2deg(angles)
    parameters = {"angles": np.rad2deg(angles), "distanceSourceOrigin": 4e5, "distanceSourceDetector": 5e5}
    scipy.io.savemat(tmp_path / "scan.mat", {"s": {"sinogram": y, "parameters": parameters | {"pixelSizePost": 1.25}}})
    for name in ("scan.h5", "scan.mat"):
        scan = sinogram_scan("scan", read_arrays(tmp_path / name), SinogramSettings())
        image = scan.scale * np.asarray(scan.measurement.operator.inverse(scan.measurement.y))
        middle = image.shape[0] // 2
        assert image[middle - 2, middle + 4 : middle + 7].mean() == pytest.approx(0.02, rel=0.1)
