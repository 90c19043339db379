"""--mode=calibrate on phantoms with an untrained network, and what a reconstruction does with its file."""

import json

import numpy as np
import pytest

from configs import default
from experiments.fast import shrink
from scoreinv import build
from scoreinv.drivers.calibrate import calibrate
from scoreinv.evaluation.conformal import load


@pytest.fixture(scope="module")
def config(fast_folder):
    config = shrink(default.get_config(), fast_folder)
    config.operator.center_fraction = 0.1
    config.operator.noise_std = 0.05
    config.sampler.start = "pseudo_inverse"
    config.calibrate.update({"splits": ("validation", "test"), "slices": 2})
    return config


def test_corrections_are_fitted_kept_and_applied(config, tmp_path):
    found = calibrate(config, tmp_path)
    assert set(found) == {"4x", "any"} and load(tmp_path / "intervals.json") == found
    assert found["4x"].subjects == 3 and "4x of prior.safetensors, dpir, 2 posterior draws" in found["4x"].fitted_on
    report = json.loads((tmp_path / "coverage.json").read_text())["4x"]
    assert report["slices"] == 4 and 0 <= report["as drawn"]["0.9"]["all"] <= 1
    assert "median half width" in (tmp_path / "coverage.md").read_text()
    paths = sorted((tmp_path / "draws" / "4x").glob("*.npz"))
    assert len(paths) == 4 and np.load(paths[0])["draws"].shape == (2, 32, 32, 1)
    kept = [path.stat().st_mtime_ns for path in paths]
    assert calibrate(config, tmp_path) == found
    assert [path.stat().st_mtime_ns for path in paths] == kept

    other = config.copy_and_resolve_references()
    other.seed = 1
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        calibrate(other, tmp_path)
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    with pytest.raises(ValueError, match=r"expected draws of a slice by --mode=calibrate: copy the file again"):
        calibrate(config, tmp_path)

    config.interval.correction = str(tmp_path / "intervals.json")
    with pytest.raises(ValueError, match=r"level=0.9; .* of 3 subjects, has corrections for 0.5; give one of these"):
        build.correction(config.interval, "", "4x")
    config.interval.level = 0.5
    assert build.correction(config.interval, "", "4x") == found["4x"]
    assert build.correction(config.interval, "", "9x") == found["any"]
    config.interval.correction = "bundled"
    assert build.correction(config.interval, "no such prior", "4x") is None


def test_too_few_subjects_are_refused(config, tmp_path):
    config.calibrate.splits = ("validation",)
    with pytest.raises(ValueError, match="1 validation subjects; give at least 3"):
        calibrate(config, tmp_path)
    assert not list(tmp_path.iterdir())
