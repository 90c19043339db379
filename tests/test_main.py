"""From a folder of volumes to a reconstruction: training, the main job, and what users get wrong."""

import importlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import default
from scoreinv import build
from scoreinv.build.tasks import image_shape, make_tasks
from scoreinv.drivers import reconstruct as driver
from scoreinv.drivers.reconstruct import reconstruct, table
from scoreinv.drivers.train import train
from scoreinv.formats.images import read_image
from scoreinv.prior import padded
from scoreinv.simulation.phantoms import random_ellipses

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p.stem for p in (ROOT / "configs").glob("*.py") if p.stem != "__init__")


def tiny_config(folder):
    """A network and a run of seconds on 32 x 32 phantoms."""
    config = default.get_config()
    config.data.folders = (str(folder),)
    config.data.subject_pattern = r"(sub-\d+)"
    config.data.validation_subjects = ("sub-0",)
    config.data.update({"intensity": "none", "size": 32, "crop": 16, "views": 2})
    config.data.update({"validation_fraction": 0.0, "test_fraction": 0.0})
    config.model.update({"nf": 4, "ch_mult": (1,), "patch_size": 2, "image_size": 32})
    config.train.update({"steps": 4, "batch_size": 2, "decay": "none", "warmup": 1, "checkpoint_every": 2})
    config.train.optimizer = "adam"  # compiles in half the time of Muon, which the tests of training take
    config.train.update({"validation_images": 2, "validation_sigmas": (0.1,), "sample_every": 0})
    config.sampler.update({"steps": 3, "samples": 3, "batch_size": 2})
    config.interval.update({"steps": 3, "draws": 2, "area": 0})
    config.baseline_settings.tv.iterations = 5
    config.operator.center_fraction = 0.1
    return config


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    for subject in range(3):
        keys = jax.random.split(jax.random.key(subject), 4)
        volume = np.stack([np.asarray(random_ellipses(key, (32, 32)))[..., 0] for key in keys])
        np.save(folder / f"sub-{subject}.npy", volume)
    return folder


@pytest.fixture(scope="module")
def trained(phantoms, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    train(tiny_config(phantoms), workdir)
    return workdir


@pytest.fixture
def config(phantoms, trained):
    config = tiny_config(phantoms)
    config.images = (str(phantoms / "sub-1.npy"),)
    config.prior = str(trained)
    return config


@pytest.mark.slow
def test_another_network_in_the_work_directory_is_refused(phantoms, trained):
    config = tiny_config(phantoms)
    config.model.nf = 16
    with pytest.raises(ValueError, match="another network"):
        train(config, trained)


def test_reconstruction_writes_everything(config, tmp_path):
    config.operator.acceleration = (2.0, 4.0)
    config.interval.scales = (1.0, 3.0)
    rows = reconstruct(config, tmp_path)
    assert rows == json.loads((tmp_path / "metrics.json").read_text())
    assert [(r["task"], r["method"]) for r in rows] == [
        (f"sub-1-{a}x", m) for a in (2, 4) for m in ("direct", "tv", "scoreinv", "scoreinv-mean")
    ]
    keys = {"task", "method", "psnr", "ssim", "network_calls", "seconds", "scale", "offset", "unit", "spacing"}
    assert set(rows[0]) == keys
    assert [row["network_calls"] for row in rows[2:4]] == [4, 3 * 4]  # three draws of 3 + 1 calls
    arrays = np.load(tmp_path / "reconstructions.npz")
    truth, ours = arrays["sub-1-2x/truth"], arrays["sub-1-2x/scoreinv"]
    psnr = -10 * np.log10(np.mean((np.clip(ours, 0, 1) - truth) ** 2))
    assert rows[2]["psnr"] == pytest.approx(psnr, abs=1e-2)
    assert arrays["sub-1-2x/scoreinv-std"].max() > 0
    low, image, high = (arrays[f"sub-1-2x/scoreinv-{name}"] for name in ("low", "mean", "high"))
    assert np.all(low < image) and np.all(image < high)
    assert arrays["sub-1-2x/scoreinv-contrast"].shape == arrays["sub-1-2x/scoreinv-on-prior"].shape == image.shape[:2]
    assert arrays["sub-1-2x/scoreinv-open-fraction"].shape == (2, *image.shape[:2])
    assert "as drawn" in str(arrays["sub-1-2x/scoreinv-interval"])
    maps = ("image", "std", "low", "high", "contrast", "truth", "open-1", "open-3")
    written = {f"sub-1-{a}x-{m}.nii.gz" for a in (2, 4) for m in maps}
    assert {p.name for p in tmp_path.iterdir()} == written | {
        "metrics.json",
        "reconstruct.json",
        "reconstructions.npz",
        "sub-1-2x.png",
        "sub-1-4x.png",
    }
    expected = arrays["sub-1-2x/scale"] * image + arrays["sub-1-2x/offset"]
    np.testing.assert_allclose(read_image(tmp_path / "sub-1-2x-image.nii.gz").values[0], expected[..., 0], rtol=1e-4)


def test_finished_tasks_are_kept_and_another_seed_is_refused(config, tmp_path, monkeypatch):
    config.baselines = ("direct",)
    config.operator.acceleration = (2.0, 4.0)
    config.sampler.start, config.interval.draws = "pseudo_inverse", 0

    def stop_at(name):
        def write(workdir, task, *rest):
            if task.name == name:
                raise KeyboardInterrupt
            return whole(workdir, task, *rest)

        return write

    whole = driver._write
    monkeypatch.setattr(driver, "_write", stop_at("sub-1-4x"))
    with pytest.raises(KeyboardInterrupt):
        reconstruct(config, tmp_path)
    first = json.loads((tmp_path / "metrics.json").read_text())
    assert {row["task"] for row in first} == {"sub-1-2x"}
    monkeypatch.setattr(driver, "_write", stop_at("sub-1-2x"))
    rows = reconstruct(config, tmp_path)
    assert rows[: len(first)] == first and {row["task"] for row in rows} == {"sub-1-2x", "sub-1-4x"}
    names = set(np.load(tmp_path / "reconstructions.npz"))
    assert {f"sub-1-{a}x/scoreinv" for a in (2, 4)} <= names
    for change, message in [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"sampler.batch_size": 3}, "sampler.batch_size was 2, is 3"),
        ({"operator.noise_std": 0.1}, "the data of sub-1-2x was"),
    ]:
        other = config.copy_and_resolve_references()
        other.update_from_flattened_dict(change)
        with pytest.raises(ValueError, match=message):
            reconstruct(other, tmp_path)


def test_columns_of_the_table_stand_apart_however_long_a_name():
    score = {"method": "tv", "psnr": 20.0, "ssim": 0.5, "network_calls": 0, "seconds": 1.0}
    head, *rows = table(
        [{"task": name} | score for name in ("brain-mri-4x", "head-ct-64-views-90-degrees")]
    ).splitlines()
    assert [row.split() for row in rows] == [
        ["brain-mri-4x", "tv", "*20.00", "*0.500", "0", "1.00"],
        ["head-ct-64-views-90-degrees", "tv", "*20.00", "*0.500", "0", "1.00"],
    ]
    assert len({len(line) for line in (head, *rows)}) == 1


def test_ct_and_a_measurement_file(config, tmp_path):
    angles = np.pi * np.arange(12) / 12
    from scoreinv.operators.ct import radon_transform

    truth = np.load(config.images[0])[1][..., None]
    np.savez(
        tmp_path / "scan.npz",
        sinogram=7 * np.asarray(radon_transform(angles, (32, 32)).forward(truth)),
        angles=angles,
        shape=(32, 32),
    )
    config.measurement = str(tmp_path / "scan.npz")
    config.sampler.start, config.interval.draws = "pseudo_inverse", 0
    rows = reconstruct(config, tmp_path / "out")
    assert all(row["psnr"] is None for row in rows)
    arrays = np.load(tmp_path / "out" / "reconstructions.npz")
    tv = arrays["scan/tv"]
    assert 0.7 * 7 < tv.max() / truth.max() < 1.3 * 7  # in the unit of the data
    assert rows[0]["scale"] == pytest.approx(arrays["scan/scale"]) and 0.5 < rows[0]["scale"] < 10
    assert np.corrcoef(tv.ravel(), truth.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("complex_prior", ["phase", "channelwise"])
def test_complex_kspace_of_any_sides_takes_a_real_prior(complex_prior, config, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "scan.npz", kspace=rng.normal(size=(31, 30)) + 1j * rng.normal(size=(31, 30)))
    config.measurement = str(tmp_path / "scan.npz")
    config.sampler.complex_prior = complex_prior
    prior, tasks = make_tasks(config)
    x = jax.random.normal(jax.random.key(0), image_shape(tasks[0].measurement))
    assert x.shape == (31, 30, 2)
    t = prior.sde.time_at(0.1)
    one = build.COMPLEX_PRIORS[complex_prior](padded(build.load_prior(config.prior)))
    score = jax.jit(lambda prior, x, t: prior.score_fn(x, t))
    np.testing.assert_allclose(score(prior, x, t), score(one, x, t), rtol=1e-4, atol=1e-4)


def test_images_are_resampled_where_it_is_asked_and_said(config, tmp_path, caplog):
    image = np.kron(np.load(config.images[0])[0], np.ones((4, 2))).astype(np.float32)[:127]
    np.save(tmp_path / "large.npy", image)
    config.images = (str(tmp_path / "large.npy"),)
    _, tasks = make_tasks(config)
    np.testing.assert_array_equal(tasks[0].truth[..., 0], image)
    assert "resampled" not in caplog.text
    config.operator.size = 31
    prior, tasks = make_tasks(config)
    assert tasks[0].truth.shape == (31, 16, 1)
    assert "127 x 64; resampled to 31 x 16" in caplog.text
    assert jax.eval_shape(prior.score_fn, tasks[0].truth, prior.sde.time_at(0.1)).shape == (31, 16, 1)


def test_metal_is_masked_shown_and_not_compared(config, phantoms, tmp_path):
    np.save(tmp_path / "ct.npy", 2048 * np.load(phantoms / "sub-1.npy") - 1024)
    config.images = (str(tmp_path / "ct.npy"),)
    config.data.intensity = "ct_window"
    config.baselines = ("li",)
    config.sampler.start, config.interval.draws = "pseudo_inverse", 0
    scan = {"modality": "mar", "mask": "sparse_view", "views": (12,), "metal": "disc", "metal_size": 30.0}
    config.operator.update(scan | {"field_of_view": 200.0, "photons": 1e6})
    rows = reconstruct(config, tmp_path / "out")
    assert [row["method"] for row in rows] == ["uncorrected", "li", "scoreinv", "scoreinv-mean"]
    arrays = np.load(tmp_path / "out" / "reconstructions.npz")
    metal, mask = arrays["ct-12-views/metal"], arrays["ct-12-views/mask"]
    assert 10 < metal.sum() < 200 and 0.4 < mask.mean() < 0.95
    assert np.all(arrays["ct-12-views/li"][metal > 0] == 1)
    error = np.where(metal > 0, 0, np.clip(arrays["ct-12-views/li"], 0, 1) - arrays["ct-12-views/truth"])
    assert rows[1]["psnr"] == pytest.approx(-10 * np.log10(np.mean(error**2)), abs=1e-2)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_builds(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    for part in list(config.parts.values()) or [config]:
        build.model(part.model)
        build.sde(part.sde)
        build.sampler(part.sampler)
        assert build.operators(part.operator, (128, 128, 1), jax.random.key(0))
        for baseline in part.baselines:
            assert callable(build.baseline(part, baseline))
