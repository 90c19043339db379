"""From a configuration and a file of k-space to tasks."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from scoreinv.build.tasks import make_tasks
from scoreinv.evaluation.metrics import magnitude
from tests.scans.test_kspace import COILS, SHAPE, complex_noise, disc, fft2c, sensitivities


@pytest.fixture
def config(tmp_path):
    full = fft2c(sensitivities() * disc()) + 0.002 * complex_noise(0, COILS, *SHAPE)
    np.savez(tmp_path / "full.npz", kspace=full.astype(np.complex64), spacing=np.array([1.5, 2.0]))
    config = default.get_config()
    config.measurement = str(tmp_path / "full.npz")
    config.operator.update({"acceleration": (2.0, 4.0), "center_fraction": 0.2})
    return config


def test_a_retrospective_study_has_a_task_for_each_acceleration_and_a_truth(config):
    config.scan.retrospective = True
    prior, tasks = make_tasks(config)
    assert [task.name for task in tasks] == ["full-2x", "full-4x"] and prior.shape[2] == 2
    for task, count in zip(tasks, (20, 10), strict=True):
        assert int(np.asarray(task.measurement.operator.mask)[0].sum()) == count
        y = task.measurement.operator.mask * task.measurement.operator.transform.forward(task.truth)
        misfit = jnp.linalg.norm(y - task.measurement.y) / jnp.linalg.norm(task.measurement.y)
        assert float(misfit) < 0.05
        inside = np.abs(disc()) > 0
        ratio = np.asarray(magnitude(task.truth))[inside] / np.abs(disc())[inside]
        assert np.std(ratio) < 0.05 * np.mean(ratio)


def test_a_measurement_keeps_its_spacing_and_says_what_was_done(config, caplog):
    _, (task,) = make_tasks(config)
    assert task.truth is None and task.measurement.y.shape == (COILS, *SHAPE)
    assert "sensitivities of 4 coils estimated by ESPIRiT" in caplog.text


def test_a_sinogram_cannot_be_undersampled_like_k_space(config, tmp_path):
    np.savez(tmp_path / "sinogram.npz", sinogram=np.ones((4, 8), np.float32), angles=np.arange(4.0))
    config.measurement, config.scan.retrospective = str(tmp_path / "sinogram.npz"), True
    with pytest.raises(ValueError, match="undersamples k-space"):
        make_tasks(config)
