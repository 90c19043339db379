"""What users get wrong, through main: one line that names the problem, exit status 1, nothing written."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from scoreinv import build, cli
from scoreinv.build.tasks import make_tasks
from scoreinv.formats import prior_file

ROOT = Path(__file__).parents[1]


def write_prior(path, channels=1, size=32):
    """A prior file of a tiny network with all parameters zero."""
    config = default.get_config()
    config.data.size = size
    config.model.update({"nf": 4, "ch_mult": (1,), "patch_size": 2, "num_channels": channels, "image_size": size})
    image = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    shapes = jax.eval_shape(build.model(config.model).init, jax.random.key(0), image, jnp.ones(1))["params"]
    params = jax.tree.map(lambda p: np.zeros(p.shape, np.float32), shapes)
    prior_file.save_prior(path, params, build.prior_metadata(config))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Priors, images, masks and measurements, good ones and bad ones."""
    folder = tmp_path_factory.mktemp("input")
    write_prior(folder / "prior.safetensors")
    write_prior(folder / "complex.safetensors", channels=2)
    image = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    images = {
        "good": image,
        "nan": np.where(image > 0.9, np.nan, image),
        "inf": np.where(image > 0.9, np.inf, image),
        "line": image[0],
        "four": image[None, None],
        "bright": image + 1,
        "text": np.array([["a", "b"]]),
        "objects": np.array([[{}]], dtype=object),
        "zero_mask": np.zeros((32, 32)),
        "nan_mask": np.full((32, 32), np.nan),
        "small_mask": np.ones((16, 32)),
        "half_mask": np.full((32, 32), 0.5),
    }
    for name, array in images.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=name == "objects")
    (folder / "truncated.npy").write_bytes((folder / "good.npy").read_bytes()[:200])
    (folder / "bytes.npz").write_bytes(b"PK\x03\x04 but then nothing")
    (folder / "json.safetensors").write_bytes(b"{}")
    kspace = (image + 1j).astype(np.complex64)
    scans = {
        "scan_nan": {"kspace": np.where(image > 0.9, np.nan, kspace)},
        "scan_inf": {"kspace": np.where(image > 0.9, np.inf, kspace)},
        "scan_real": {"kspace": image},
        "scan_line": {"kspace": kspace[0]},
        "scan_mask": {"kspace": kspace, "mask": np.ones((16, 16))},
        "scan_zero_mask": {"kspace": kspace, "mask": np.zeros((32, 32))},
        "scan_zero": {"kspace": 0 * kspace},
        "scan_coils": {"kspace": np.stack([kspace] * 2), "coils": np.stack([kspace] * 3)},
        "scan_angles": {"sinogram": image, "angles": np.arange(7.0)},
        "scan_nothing": {"something": image},
        "scan_sinogram": {"sinogram": np.ones((32, 1)) * np.hanning(23), "angles": np.linspace(0, 3, 32)},
    }
    for name, arrays in scans.items():
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


def refusal(folder, changes, mode, monkeypatch, workdir):
    """The line that main ends with."""
    config = default.get_config()
    config.data.intensity = "none"
    config.images, config.prior = (str(folder / "good.npy"),), str(folder / "prior.safetensors")
    config.sampler.update({"steps": 2, "samples": 1})
    config.interval.draws = 0
    files = {p.name: str(p) for p in folder.iterdir()}
    at = {k: files.get(v, v) if isinstance(v, str) else tuple(files.get(x, x) for x in v) if k == "images" else v
          for k, v in changes.items()}  # fmt: skip
    config.update_from_flattened_dict(at)
    for flag, value in {"config_flag": config, "mode_flag": mode, "workdir_flag": str(workdir)}.items():
        monkeypatch.setattr(cli, flag, SimpleNamespace(value=value))
    cli.flags.FLAGS.mark_as_parsed()  # the other flags have their defaults
    monkeypatch.setattr(cli.config_flags, "get_config_filename", lambda _: "default.py")
    monkeypatch.setattr(cli.config_flags, "get_override_values", lambda _: {})
    monkeypatch.delenv("SCOREINV_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as end:
        cli.run(["scoreinv"])
    return end.value.code


CT = {"operator.modality": "ct", "operator.mask": "sparse_view", "baselines": ("direct",)}
MISTAKES = [
    ({"images": ("missing.npy",)}, "'missing.npy' does not exist"),
    ({"images": ("brian-mri",)}, "unknown image 'brian-mri'"),
    ({"images": ("line.npy",)}, "shape"),
    ({"images": ("four.npy",)}, "shape"),
    ({"images": ("nan.npy",)}, "NaN or Inf"),
    ({"images": ("inf.npy",)}, "NaN or Inf"),
    ({"images": ("bright.npy",)}, "preset 'none' takes"),
    ({"images": ("text.npy",)}, "real numbers"),
    ({"images": ("objects.npy",)}, "objects.npy"),
    ({"images": ("truncated.npy",)}, "truncated.npy"),
    ({"images": ("bytes.npz",)}, "bytes.npz"),
    ({"images": ("good.npy", "good.npy")}, "two tasks are called"),
    ({"operator.mask": "missing.npy"}, "mask file 'missing.npy' does not exist"),
    ({"operator.mask": "zero_mask.npy"}, "all zero"),
    ({"operator.mask": "nan_mask.npy"}, "mask"),
    ({"operator.mask": "small_mask.npy"}, "mask of shape"),
    ({"operator.mask": "half_mask.npy"}, "mask"),
    ({"operator.mask": "line.npy"}, "mask"),
    ({"operator.mask": "spiral"}, "unknown operator.mask"),
    ({"operator.acceleration": (64.0,)}, "acceleration 64"),
    ({"operator.acceleration": (0.5,)}, "acceleration=(0.5,); give finite numbers from 1"),
    ({"operator.noise_std": -1.0}, "noise_std=-1"),
    ({"operator.noise_std": float("nan")}, "noise_std=nan"),
    ({"operator.modality": "pet"}, "unknown operator.modality 'pet'"),
    ({**CT, "operator.views": (0,)}, "views=(0,); give integers from 1"),
    ({**CT, "operator.mask": "limited_angle", "operator.degrees": 200.0}, "degrees=200"),
    ({"measurement": "missing.npz"}, "'missing.npz' does not exist"),
    ({"measurement": "bytes.npz"}, "expected an .npz file"),
    ({"measurement": "scan_nan.npz"}, "NaN or Inf"),
    ({"measurement": "scan_inf.npz"}, "NaN or Inf"),
    ({"measurement": "scan_real.npz"}, "kspace is float32 of shape"),
    ({"measurement": "scan_line.npz"}, "kspace is complex64 of shape"),
    ({"measurement": "scan_mask.npz"}, "mask of shape"),
    ({"measurement": "scan_zero_mask.npz"}, "all zero"),
    ({"measurement": "scan_zero.npz"}, "zero"),
    ({"measurement": "scan_coils.npz"}, "coils of shape"),
    ({"measurement": "scan_angles.npz"}, "angles"),
    ({"measurement": "scan_nothing.npz"}, "give kspace, or sinogram and angles"),
    ({"measurement": "scan_sinogram.npz", "prior": "complex.safetensors"}, "the prior has 2 channels, the image 1"),
    ({"prior": "complex.safetensors"}, "the prior has 2 channels, the image 1"),
    ({"prior": "brain"}, "unknown prior 'brain'"),
    ({"prior": "missing.safetensors"}, "does not exist"),
    ({"prior": "json.safetensors"}, "expected a prior written by"),
    ({"sampler.method": "ddsm"}, "unknown sampler.method 'ddsm'"),
    ({"sampler.settings": "churn=high"}, "'churn=high' needs a finite value of type float"),
    ({"sampler.settings": "chum=1.0"}, "'chum' is no setting of dpir; it takes cg_steps, churn"),
    ({"sampler.steps": -1}, "sampler.steps=-1"),
    ({"sampler.grid": "log"}, "unknown sampler.grid"),
    ({"operator.modality": "mar", "operator.mask": "sparse_view"}, "metal is simulated in Hounsfield units"),
    ({"baseline_settings.tv.weight": 1.0, "baselines": ("tv",)}, "tv.weight is no setting of the baseline"),
    ({"baselines": ("bm3d",)}, "unknown baselines 'bm3d'"),
    ({"slice_index": 99}, "slice_index=99"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=lambda v: v if isinstance(v, str) else "")
def test_reconstruct_refuses(folder, changes, message, monkeypatch, tmp_path):
    line = refusal(folder, changes, "reconstruct", monkeypatch, tmp_path / "out")
    assert isinstance(line, str) and line.startswith("error: ") and message in line
    assert "\n" not in line and len(line) < 500
    assert not (tmp_path / "out").exists()


def test_training_refuses_a_folder_that_is_not_there(folder, monkeypatch, tmp_path):
    line = refusal(folder, {"data.folders": ("nowhere",)}, "train", monkeypatch, tmp_path / "out")
    assert isinstance(line, str) and "nowhere" in line and "\n" not in line


@pytest.mark.parametrize(
    ("field", "value"), [("dtype", "float8"), ("nonlinearity", "gelu"), ("parameterization", "vdm")]
)
def test_an_unknown_network_is_refused(field, value):
    config = default.get_config()
    config.model[field] = value
    with pytest.raises(ValueError, match=value) as error:
        build.model(config.model).init(jax.random.key(0), jnp.zeros((1, 64, 64, 1)), jnp.ones(1))
    assert "\n" not in str(error.value)


def test_images_keep_their_matrix_whatever_the_prior_was_trained_at(folder, tmp_path):
    write_prior(tmp_path / "prior.safetensors", size=16)
    config = default.get_config()
    config.data.intensity = "none"
    config.images, config.prior = (str(folder / "good.npy"),), str(tmp_path / "prior.safetensors")
    _, tasks = make_tasks(config)
    assert tasks[0].truth.shape == (32, 32, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode=bogus"], "--mode=bogus"),
        (["--config.no_such_field=1"], "no_such_field"),
        (["--config.sampler.steps=many"], "--config.sampler.steps=many"),
        (["--config.sampler=3"], "--config.sampler=3"),
        (["--config=no_such_file.py"], "no_such_file.py"),
        (["--no_such_flag"], "no_such_flag"),
        (["brain-mri"], "unexpected argument 'brain-mri'"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_the_command_line_refuses(arguments, message, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert message in done.stderr and done.stderr.startswith("error: ")
    assert done.stderr.strip().count("\n") == 0
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["{", "[1, 2]", json.dumps({"nf": 8})])
def test_a_bad_config_beside_a_published_checkpoint(content, tmp_path):
    (tmp_path / "checkpoint_1").write_bytes(b"nothing")
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError) as error:
        build.load_prior(str(tmp_path))
    assert "\n" not in str(error.value)
