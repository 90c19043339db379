"""Volumes of scanner data from file to image file: several slices and coils, a detector of several rows; kill -9."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from configs import default
from scoreinv.drivers.reconstruct_volume import reconstruct_volume
from scoreinv.operators.ct import radon_transform, uniform_angles
from tests.scans.test_kspace import complex_noise, disc, fft2c, lines, sensitivities

ROOT = Path(__file__).parents[2]
SIDE, SLICES, COILS = 32, 3, 3
pytestmark = pytest.mark.slow


def volume():
    """Discs that shrink from slice to slice."""
    return np.stack([disc((SIDE, SIDE), 0.8 - 0.15 * i) for i in range(SLICES)])


@pytest.fixture(scope="module")
def kspace_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("kspace") / "scan.npz"
    image = 30 * volume()[:, None] * sensitivities(COILS, (SIDE, SIDE))
    kspace = (fft2c(image) + 0.05 * complex_noise(0, *image.shape)) * lines(SIDE, 2, 12)
    np.savez(path, kspace=kspace.astype(np.complex64), spacing=(2.0, 1.5, 6.0))
    return path


@pytest.fixture(scope="module")
def sinogram_file(tmp_path_factory):
    path, angles = tmp_path_factory.mktemp("sinogram") / "scan.npz", uniform_angles(48)
    transform = radon_transform(angles, (SIDE, SIDE), averages=True)
    rows = [np.asarray(transform.forward(np.abs(x)[..., None].astype(np.float32))) for x in volume()]
    stack = np.stack(rows, 1) + 0.02 * complex_noise(0, 48, SLICES, rows[0].shape[1]).real
    np.savez(path, sinogram=stack.astype(np.float32), angles=angles, shape=(SIDE, SIDE))
    return path


def configured(path, prior):
    config = default.get_config()
    config.prior, config.measurement, config.slices = str(prior), str(path), "all"
    config.sampler.update({"steps": 2, "samples": 2, "sigma_max": 0.05})
    config.interval.update({"steps": 2, "draws": 2})
    return config


def of_file(path):
    """[slices, rows, columns] of a NIfTI file as we write it."""
    return np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0)


@pytest.mark.parametrize("kind", ["kspace", "sinogram"])
def test_a_stack_of_measurements_becomes_a_volume(kind, request, tiny_prior_file, tmp_path):
    config = configured(request.getfixturevalue(f"{kind}_file"), tiny_prior_file)
    config.output.phase, config.interval.scales = kind == "kspace", (2.0,)
    config.scan.noise_std = 0.02 if kind == "sinogram" else -1.0
    rows = reconstruct_volume(config, tmp_path)
    assert [row["slice"] for row in rows] == list("012") and all(row["psnr"] == "" for row in rows)
    image, truth = of_file(tmp_path / "scan-image.nii.gz"), np.abs(volume())
    truth = truth * (30 if kind == "kspace" else 1)
    errors = np.sqrt(np.mean((image - truth) ** 2, (1, 2)) / np.mean(truth**2, (1, 2)))
    assert errors.max() < 0.35, errors  # an untrained prior; the data decide
    low, high, contrast = (of_file(tmp_path / f"scan-{name}.nii.gz") for name in ("low", "high", "contrast"))
    assert np.all(low <= image) and np.all(image <= high) and contrast.min() >= 0
    fraction = of_file(tmp_path / "scan-open-2.nii.gz")
    # Half of the lines leave patterns open; 48 views of 32 pixels none.
    assert 0 <= fraction.min() < 0.4 and (0.4 < fraction.max() <= 1 if kind == "kspace" else fraction.max() < 0.1)
    if kind == "kspace":
        assert nibabel.load(tmp_path / "scan-image.nii.gz").header.get_zooms() == pytest.approx((1.5, 2.0, 6.0))
        phase, inside = of_file(tmp_path / "scan-phase.nii.gz"), truth > 10
        steps = np.angle(np.exp(1j * np.diff(phase, axis=1)))[inside[:, 1:] & inside[:, :-1]]
        assert abs(np.median(steps) - np.median(np.diff(np.angle(disc((SIDE, SIDE), 9.0)), axis=0))) < 0.1


def test_after_kill_9_the_same_command_goes_on_and_two_share_the_rest(kspace_file, tiny_prior_file, tmp_path):
    whole = reconstruct_volume(configured(kspace_file, tiny_prior_file), tmp_path / "whole")
    run = tmp_path / "run"
    command = [
        sys.executable, str(ROOT / "main.py"), f"--workdir={run}", f"--config.measurement={kspace_file}",
        "--config.slices=all", f"--config.prior={tiny_prior_file}", "--config.sampler.steps=2",
        "--config.sampler.samples=2", "--config.sampler.sigma_max=0.05", "--config.interval.steps=2",
        "--config.interval.draws=2",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT)
    started = time.monotonic()
    while not (run / "volume.csv").is_file() and time.monotonic() < started + 240:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = (run / "volume.csv").read_text().count("\n") - 1
    assert done < SLICES
    # Tasks of a SLURM array, or of one srun, which share nothing but the folder.
    tasks = [os.environ | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(i), "SLURM_ARRAY_TASK_ID": str(i)}
             for i in range(2)]  # fmt: skip
    pair = [subprocess.Popen(command, cwd=ROOT, env=task) for task in tasks]
    assert [one.wait(timeout=300) for one in pair] == [0, 0]
    found = (run / "volume.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[1] for line in found) == [row["slice"] for row in whole]
    for name in ("image", "std", "low", "high", "contrast"):
        a, b = (of_file(folder / f"scan-{name}.nii.gz") for folder in (tmp_path / "whole", run))
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())
