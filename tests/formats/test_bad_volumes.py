"""Volumes that training and preparation refuse: one line, and nothing written."""

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from configs import default
from scoreinv.drivers.prepare import prepare
from scoreinv.drivers.reconstruct import reconstruct
from scoreinv.drivers.train import train
from scoreinv.formats.export import write_image
from scoreinv.formats.images import read_image
from tests.formats.test_images import write_slice

ROOT = Path(__file__).parents[2]


def empty(folder):
    pass


def missing_slices(folder):
    for z in (0, 1, 2, 4, 5):
        write_slice(folder / f"{z}.dcm", np.full((8, 8), 100), (0, 0, z), series="1.2")


def mixed_sizes(folder):
    write_slice(folder / "a.dcm", np.zeros((8, 8)), (0, 0, 0), series="1.2")
    write_slice(folder / "b.dcm", np.zeros((8, 9)), (0, 0, 1), series="1.2")


def mixed_spacings(folder):
    for name, spacing in (("a", [0.5, 0.5]), ("b", [0.5, 0.6])):
        write_slice(folder / f"{name}.dcm", np.zeros((8, 8)), (0, 0, ord(name)), series="1.2", PixelSpacing=spacing)


def unknown_transfer_syntax(folder):
    write_slice(folder / "a.dcm", np.zeros((8, 8)))
    header = pydicom.dcmread(folder / "a.dcm")
    header.file_meta.TransferSyntaxUID = "1.2.3.4.5"
    header.save_as(folder / "a.dcm", implicit_vr=False, little_endian=True)


def truncated_nifti(folder):
    path = folder / "a.nii.gz"
    noise = np.random.default_rng(0).random((16, 16, 9)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:2000])


def constant_volume(folder):
    np.save(folder / "a.npy", np.ones((3, 8, 8), np.float32))


def doubled_slices(folder):
    for name, z in (("a", 0), ("b", 1), ("c", 1), ("d", 2)):
        write_slice(folder / f"{name}.dcm", np.full((8, 8), 100), (0, 0, z), series="1.2")


def mixed_orientations(folder):
    write_slice(folder / "a.dcm", np.zeros((8, 8)), (0, 0, 0), series="1.2")
    write_slice(folder / "b.dcm", np.zeros((8, 8)), (0, 0, 1), (0, 1, 0, 0, 0, -1), series="1.2")


def larger_than_memory(folder):
    header = nibabel.Nifti1Image(np.broadcast_to(np.int16(0), (8, 8, 8)), np.eye(4)).header
    header.set_data_shape((30000, 30000, 3000))
    (folder / "a.nii").write_bytes(header.binaryblock + bytes(2000))


BAD = [
    (doubled_slices, "neighbouring slices are 0 to 1 mm apart; allowed: evenly spaced"),
    (mixed_orientations, "slices of several orientations"),
    (larger_than_memory, "a.nii"),
    (empty, "no image files in"),
    (missing_slices, "neighbouring slices are 1 to 2 mm apart; allowed: evenly spaced"),
    (mixed_sizes, r"image sizes \[\(8, 8\), \(8, 9\)\]; allowed: one series of one size"),
    (mixed_spacings, r"pixel spacings of 0\.5 x 0\.5, 0\.5 x 0\.6 mm; allowed: one series of one spacing"),
    (unknown_transfer_syntax, r"transfer syntax '1\.2\.3\.4\.5'.*allowed"),
    (truncated_nifti, r"a\.nii\.gz.*damaged or truncated"),
    (constant_volume, "allowed: low < high, not constant"),
]


@pytest.mark.parametrize("run", [train, prepare])
@pytest.mark.parametrize(("write", "message"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_bad_volumes_get_one_line_and_nothing_is_written(tmp_path, run, write, message):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    config = default.get_config()
    config.data.folders = (str(tmp_path / "in"),)
    config.data.update({"intensity": "min_max", "validation_fraction": 0.0, "test_fraction": 0.0})
    with pytest.raises(ValueError, match=message) as error:
        run(config, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("write", "message"), BAD[:3] + BAD[4:6], ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_volume_is_not_reconstructed(tmp_path, write, message):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    config = default.get_config()
    one = [path for path in (tmp_path / "in").iterdir() if path.suffix == ".nii"]
    config.slices = "all"
    config.images = (str(one[0] if one else tmp_path / "in"),)
    with pytest.raises(ValueError, match=message) as error:
        reconstruct(config, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_an_empty_slice_of_a_scan_is_named_before_anything_is_written(tmp_path):
    kspace = np.random.default_rng(0).standard_normal((3, 1, 16, 16)).astype(np.complex64)
    kspace[0] = 0
    np.savez(tmp_path / "scan.npz", kspace=kspace)
    config = default.get_config()
    config.slices, config.measurement = "all", str(tmp_path / "scan.npz")
    with pytest.raises(ValueError, match=r"slice 0 of 'scan.npz': kspace holds zeros only.*give `slices` without it"):
        reconstruct(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tilted_gantry_is_said_and_every_slice_keeps_its_place(tmp_path):
    (tmp_path / "in").mkdir()
    for z in range(3):
        write_slice(tmp_path / "in" / f"{z}.dcm", np.full((8, 9), 100 * z), (0, -0.5 * z, 2 * z), series="1.2")
    volume = read_image(tmp_path / "in")
    assert "gantry tilt of 14.0 degrees" in volume.notes[0]
    for kind, back in (("nifti", "out.nii.gz"), ("dicom", "out")):
        write_image(kind, tmp_path / "out", volume.values, volume.geometry, "test")
        again = read_image(tmp_path / back)
        np.testing.assert_allclose(again.geometry.affine, volume.geometry.affine, atol=1e-5)
        np.testing.assert_allclose(again.values, volume.values, atol=0.01)
    header = nibabel.load(tmp_path / "out.nii.gz").header
    assert header["sform_code"] == 1 and header["qform_code"] == 0  # a quaternion holds no shear


def test_main_says_so_with_exit_status_1(tmp_path):
    truncated_nifti(tmp_path)
    command = [sys.executable, str(ROOT / "main.py"), "--mode=train", f"--workdir={tmp_path / 'out'}"]
    fields = [f"--config={ROOT}/configs/train_brain_mri.py", f"--config.data.folders=('{tmp_path}',)"]
    fields += ["--config.data.validation_fraction=0.0", "--config.data.test_fraction=0.0"]
    result = subprocess.run([*command, *fields], capture_output=True, text=True)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: cannot read")
    assert not (tmp_path / "out").exists()
