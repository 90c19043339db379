"""Scanners' files: ISMRMRD written by its own package, fastMRI's layout, twix; read onto the grid of k-space."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from configs import default
from scoreinv.build.scans import read_file, read_scan

h5py = pytest.importorskip("h5py")
DATA = Path(os.environ.get("SCOREINV_DATA", "data"))
COILS, SAMPLES, LINES = 2, 24, 10

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>
 <encoding>
  <encodedSpace><matrixSize><x>24</x><y>10</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>240</x><y>100</y><z>5</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>12</x><y>10</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>120</x><y>100</y><z>5</z></fieldOfView_mm></reconSpace>
  <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>9</maximum><center>5</center>
  </kspace_encoding_step_1></encodingLimits>
  <trajectory>TRAJECTORY</trajectory>
 </encoding>
</ismrmrdHeader>"""


@pytest.fixture(scope="module")
def config():
    config = default.get_config()
    config.slice_index = 0
    return config


def complex_normal(seed, *shape):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def readout(ismrmrd, data, line=0, repetition=0, flag=None, trajectory=None):
    made = ismrmrd.Acquisition.from_array(data, trajectory)
    made.idx.kspace_encode_step_1, made.idx.repetition = line, repetition
    made.center_sample = data.shape[1] // 2
    made.sample_time_us = 4.0
    if flag is not None:
        made.set_flag(flag)
    return made


def written(path, ismrmrd, readouts, trajectory="cartesian", header=HEADER):
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(header.replace("TRAJECTORY", trajectory).encode())
    for one in readouts:
        dataset.append_acquisition(one)
    dataset.close()
    return path


def test_ismrmrd_lines_lie_where_their_counters_say(config, tmp_path):
    ismrmrd = pytest.importorskip("ismrmrd")
    kspace = complex_normal(0, 2, COILS, SAMPLES, LINES)  # two repetitions
    lines = [0, 2, 4, 5, 6, 8]
    readouts = [readout(ismrmrd, complex_normal(1, COILS, 64), flag=ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    readouts[0].sample_time_us = 16.0
    for repetition in range(2):
        for line in lines:
            for sign in (0.9, 1.1):  # averages
                data = np.ascontiguousarray(sign * kspace[repetition, :, :, line])
                readouts.append(readout(ismrmrd, data, line, repetition))
    reference = np.ascontiguousarray(kspace[0, :, :, 7])
    readouts.append(readout(ismrmrd, reference, 7, 0, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION))
    arrays = read_file(written(tmp_path / "scan.h5", ismrmrd, readouts), config)
    assert arrays["kspace"].shape == (1, 2, 1, COILS, SAMPLES, LINES)
    np.testing.assert_allclose(arrays["kspace"][0, :, 0][..., lines], kspace[..., lines], rtol=1e-5)
    np.testing.assert_array_equal(arrays["kspace"][0, 0, 0, :, :, 7], reference)
    assert not arrays["kspace"][..., [1, 3, 9]].any()
    np.testing.assert_allclose(arrays["noise"], 2 * complex_normal(1, COILS, 64), rtol=1e-5)  # a quarter of the dwell
    np.testing.assert_array_equal(arrays["matrix"], [12, 10])
    np.testing.assert_allclose(arrays["spacing"], [10, 10, 5])


def test_ismrmrd_becomes_a_scan_without_oversampling(config, tmp_path):
    ismrmrd = pytest.importorskip("ismrmrd")
    data = complex_normal(0, COILS, SAMPLES, LINES)
    data[:, 10:14, 3:7] += 30
    readouts = [readout(ismrmrd, np.ascontiguousarray(data[:, :, line]), line) for line in range(LINES)]
    scan = read_scan(written(tmp_path / "scan.h5", ismrmrd, readouts), config)
    assert scan.measurement.y.shape == (COILS, 12, LINES) and scan.spacing == (10.0, 10.0)
    assert "readout oversampling removed: 24 to 12 rows" in "; ".join(scan.notes)


def test_ismrmrd_keeps_the_place_of_its_slices(config, tmp_path):
    ismrmrd = pytest.importorskip("ismrmrd")
    readouts = []
    for number, place in enumerate((1, 0, 2)):  # the middle one acquired first
        for line in range(LINES):
            data = complex_normal(place, COILS, SAMPLES)
            one = readout(ismrmrd, data, line)
            one.idx.slice, one.position = number, (10.0, 20.0, 7.0 * place)
            one.read_dir, one.phase_dir, one.slice_dir = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
            readouts.append(one)
    path = written(tmp_path / "scan.h5", ismrmrd, readouts)
    kspace = read_file(path, config)["kspace"][0, 0]
    np.testing.assert_array_equal(kspace[..., 0], [complex_normal(place, COILS, SAMPLES) for place in range(3)])
    config.slice_index = 2
    geometry = read_scan(path, config).geometry
    config.slice_index = 0
    # the pixel at the middle of the matrix is where the scanner says that the slice is; LPS to RAS
    np.testing.assert_allclose(geometry.affine @ [0, 6, 5, 1], [-10, -20, 14, 1], atol=1e-5)
    np.testing.assert_allclose(geometry.affine[:3, :3], [[0, 0, -10], [0, -10, 0], [7, 0, 0]], atol=1e-5)


def test_ismrmrd_in_3d_becomes_slices(config, tmp_path):
    ismrmrd = pytest.importorskip("ismrmrd")
    parts, header = 4, HEADER.replace("<z>1</z>", "<z>4</z>").replace("<z>5</z>", "<z>8</z>")
    kspace = complex_normal(0, COILS, SAMPLES, LINES, parts)
    for name, left_out in (("whole", ()), ("hybrid", ((0, 1), (3, 2), (9, 0)))):
        readouts = []
        for line, part in np.ndindex(LINES, parts):
            if (line, part) not in left_out:
                one = readout(ismrmrd, np.ascontiguousarray(kspace[..., line, part]), line)
                one.idx.kspace_encode_step_2 = part
                readouts.append(one)
        arrays = read_file(written(tmp_path / f"{name}.h5", ismrmrd, readouts, header=header), config)
        found = arrays["kspace"][0, 0]
        if name == "whole":
            assert found.shape == (parts, COILS, SAMPLES, LINES)
            np.testing.assert_allclose(found, np.moveaxis(inverse(kspace, -1), -1, 0), atol=1e-5)
            np.testing.assert_allclose(arrays["spacing"], [10, 10, 2])
        else:  # the middle half of the readout, without its oversampling
            assert found.shape == (SAMPLES // 2, COILS, LINES, parts) and "matrix" not in arrays
            expected = np.moveaxis(inverse(kspace, 1), 1, 0)[6:18]
            expected[(..., *np.transpose(left_out))] = 0
            np.testing.assert_allclose(found, expected, atol=1e-5)
            np.testing.assert_allclose(arrays["spacing"], [10, 2, 10])


def inverse(values, axis):
    moved = np.fft.ifft(np.fft.ifftshift(values, axis), axis=axis, norm="ortho")
    return np.fft.fftshift(moved, axis)


def test_ismrmrd_without_an_image_is_refused(config, tmp_path):
    ismrmrd = pytest.importorskip("ismrmrd")
    noise = readout(ismrmrd, complex_normal(1, COILS, 64), flag=ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    with pytest.raises(ValueError, match="none of an image"):
        read_file(written(tmp_path / "scan.h5", ismrmrd, [noise]), config)


@pytest.mark.parametrize("coils", [0, 3])
def test_fastmri_gives_one_slice_its_mask_and_geometry(coils, config, tmp_path):
    stack = complex_normal(0, *((4, coils, 24, 10) if coils else (4, 24, 10)))
    mask = np.arange(10) % 2 == 0
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"], file["mask"] = stack, mask
        file["reconstruction_rss"] = np.zeros((4, 10, 10), np.float32)
        file["ismrmrd_header"] = HEADER.encode()
    config.slice_index = 3
    arrays = read_file(tmp_path / "scan.h5", config)
    notes = "; ".join(read_scan(tmp_path / "scan.h5", config).notes)
    config.slice_index = 0
    assert "took slice_index 3 of 4" in notes and "first axis" not in notes
    np.testing.assert_array_equal(arrays["kspace"], stack[3])
    np.testing.assert_array_equal(arrays["mask"], mask)
    np.testing.assert_array_equal(arrays["matrix"], [12, 10])
    np.testing.assert_allclose(arrays["spacing"], [10, 10])


def test_fastmri_refuses_a_slice_that_is_not_there(config, tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"], file["ismrmrd_header"] = complex_normal(0, 2, 8, 8), b"<ismrmrdHeader/>"
    config.slice_index = 2
    with pytest.raises(ValueError, match="the file has 2 slices"):
        read_file(tmp_path / "scan.h5", config)
    config.slice_index = 0


@pytest.mark.skipif(not (DATA / "kspace").is_dir(), reason="SCOREINV_DATA names no folder with real scans")
def test_a_real_twix_file_shows_its_phantom(config):
    pytest.importorskip("twixtools")
    scan = read_scan(DATA / "kspace/siemens_twix_gre/gre.dat", config)
    assert scan.measurement.y.shape == (2, 160, 160) and scan.spacing == (1.25, 1.25)
    image = np.linalg.norm(scan.measurement.operator.inverse(scan.measurement.y), axis=-1)
    rows, columns = np.meshgrid(*(np.arange(160) - 80,) * 2, indexing="ij")
    disc = np.hypot(rows, columns) < 60
    assert image[disc].mean() > 5 * image[np.hypot(rows, columns) > 90].mean()


@pytest.mark.skipif(not (DATA / "kspace").is_dir(), reason="SCOREINV_DATA names no folder with real scans")
def test_a_real_twix_file_keeps_its_place(config):
    """Normal and middle are those of the protocol; an ACR phantom lies with its crossed wedges and air in front."""
    twixtools = pytest.importorskip("twixtools")
    path = DATA / "kspace/siemens_twix_gre/gre.dat"
    said = twixtools.read_twix(str(path), verbose=False, parse_data=False)[-1]["hdr"]["MeasYaps"]["sSliceArray"]
    normal, middle = (
        np.array([said["asSlice"][0][name][axis] for axis in ("dSag", "dCor", "dTra")]) * [-1, -1, 1]
        for name in ("sNormal", "sPosition")
    )
    scan = read_scan(path, config)
    affine = scan.geometry.affine
    np.testing.assert_allclose(affine[:3, 0], 4 * normal, atol=1e-5)
    np.testing.assert_allclose(affine @ [0, 80, 80, 1], [*middle, 1], atol=1e-4)
    image = np.linalg.norm(scan.measurement.operator.inverse(scan.measurement.y), axis=-1)
    # Of the two ends of the disc along the lines, the one that is cut off is the front.
    ends = [image[50:110, lines].mean() for lines in (slice(10, 14), slice(147, 151))]
    front = int(affine[1, 2] > 0)
    assert ends[front] < 0.5 * ends[1 - front]


def slice_of_twix(number, place):
    """The first readout of a slice; phase encoding along y, to the back, readout along -x, to the right."""
    position = SimpleNamespace(Sag=10.0, Cor=20.0, Tra=7.0 * place)
    where = SimpleNamespace(SlicePos=position, Quaternion=[np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    header = SimpleNamespace(Counter=SimpleNamespace(Sli=number), SliceData=where)
    return SimpleNamespace(is_image_scan=lambda: True, mdh=header)


class Mapped:
    """An array as twixtools maps it."""

    def __init__(self, values, dims):
        self.values, self.dims, self.shape = values, dims, values.shape
        self.flags = {"average": {}}

    def __getitem__(self, key):
        return self.values[key]


def test_twix_slices_lie_where_their_readouts_say(config, tmp_path, monkeypatch):
    """Three slices of two echoes, the middle one acquired first, and a noise scan of a fourth of the bandwidth."""
    twixtools = pytest.importorskip("twixtools")
    acquired = [1, 0, 2]
    kspace, noise = complex_normal(0, 2, 3, LINES, COILS, SAMPLES), complex_normal(1, COILS, 64)
    kspace[:, :, 3:7, :, 10:14] += 30
    field = {"dReadoutFOV": 120.0, "dPhaseFOV": 80.0, "dThickness": 5.0}
    protocol = {"sSliceArray": {"asSlice": [field]}, "sKSpace": {"dPhaseOversamplingForDialog": 0.25}}
    header = {"Dicom": {"flReadoutOSFactor": 2.0}, "MeasYaps": protocol | {"sRXSPEC": {"alDwellTime": [1000]}}}
    adjustment = {"MeasYaps": {"sRXSPEC": {"alDwellTime": [4000]}}}
    image = Mapped(kspace[:, None, :, None], ("Eco", "Rep", "Sli", "Par", "Lin", "Cha", "Col"))
    mapped = [{"noise": Mapped(noise, ("Cha", "Col")), "hdr": adjustment}, {"image": image, "hdr": header}]
    readouts = [slice_of_twix(*one) for one in enumerate(acquired)]
    monkeypatch.setattr(twixtools, "read_twix", lambda path, verbose: [{}, {"mdb": readouts}])
    monkeypatch.setattr(twixtools, "map_twix", lambda read: mapped)
    (tmp_path / "scan.dat").write_bytes(b" ")
    arrays = read_file(tmp_path / "scan.dat", config)
    # Sorted; this order is its own inverse.
    np.testing.assert_array_equal(arrays["kspace"][:, 0], np.moveaxis(kspace[:, acquired], 2, -1))
    np.testing.assert_allclose(arrays["noise"], 2 * noise, rtol=1e-6)
    np.testing.assert_array_equal(arrays["matrix"], [12, 10])
    np.testing.assert_allclose(arrays["spacing"], [10, 10, 5])
    # From the right and from the back, against readout and phase encoding.
    np.testing.assert_allclose(arrays["affine"][:3, :3], [[0, -10, 0], [0, 0, 10], [7, 0, 0]], atol=1e-5)
    np.testing.assert_allclose(arrays["affine"] @ [2, 6, 5, 1], [-10, -20, 14, 1], atol=1e-5)
    settings = config.copy_and_resolve_references()
    settings.slice_index, settings.scan.echo = 1, 1
    scan = read_scan(tmp_path / "scan.dat", settings)
    assert {"took slice_index 1 of 3, echo 1 of 2", "readout oversampling removed: 24 to 12 rows"} <= set(scan.notes)
    np.testing.assert_allclose(scan.geometry.affine @ [0, 6, 5, 1], [-10, -20, 7, 1], atol=1e-5)


def test_what_is_no_twix_file_is_one_line(config, tmp_path):
    pytest.importorskip("twixtools")
    (tmp_path / "scan.dat").write_bytes(b"nothing of Siemens' " * 100)
    with pytest.raises(ValueError, match=r"scan\.dat") as error:
        read_file(tmp_path / "scan.dat", config)
    assert "\n" not in str(error.value)
