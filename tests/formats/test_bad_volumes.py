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
from scoreinv.drivers.train import train
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


BAD = [
    (empty, "no image files in"),
    (missing_slices, "neighbouring slices are 1 to 2 mm apart; allowed: evenly spaced"),
    (mixed_sizes, r"image sizes \[\(8, 8\), \(8, 9\)\]; allowed: one series of one size"),
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


def test_main_says_so_with_exit_status_1(tmp_path):
    truncated_nifti(tmp_path)
    command = [sys.executable, str(ROOT / "main.py"), "--mode=train", f"--workdir={tmp_path / 'out'}"]
    fields = [f"--config={ROOT}/configs/train_brain_mri.py", f"--config.data.folders=('{tmp_path}',)"]
    fields += ["--config.data.validation_fraction=0.0", "--config.data.test_fraction=0.0"]
    result = subprocess.run([*command, *fields], capture_output=True, text=True)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: cannot read")
    assert not (tmp_path / "out").exists()
