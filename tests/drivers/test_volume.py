"""Whole volumes: windows, one program, resumed and shared work, files in the source's place."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from configs import default
from scoreinv.build.checks import check_overrides
from scoreinv.build.volume_tasks import of_slices, parse_slices
from scoreinv.drivers import reconstruct_volume as driver
from scoreinv.drivers.reconstruct import reconstruct
from scoreinv.drivers.reconstruct_volume import reconstruct_volume
from scoreinv.drivers.volume_draws import windows
from scoreinv.formats.volume import Geometry

ROOT = Path(__file__).parents[2]
AFFINE = np.array([[-2.0, 0, 0, 10], [0, -2.0, 0, 20], [0, 0, 5.0, -7], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("count", "depth", "halo"), [(1, 1, 0), (5, 1, 0), (10, 4, 1), (7, 4, 2), (3, 8, 1), (160, 6, 1)]
)
def test_windows_keep_every_slice_once_and_have_one_length(count, depth, halo):
    found = windows(count, depth, halo)
    length = min(depth + 2 * halo, count)
    assert [i for window in found for i in window.kept] == list(range(count))
    for window in found:
        assert 0 <= window.first <= count - length
        assert window.first <= window.kept[0] and window.kept[-1] < window.first + length
        beside = range(max(0, window.kept[0] - halo), min(count, window.kept[-1] + 1 + halo))
        assert set(beside) <= set(range(window.first, window.first + length))


def test_slices_are_named_as_in_python():
    assert parse_slices("all", 4, "a") == (0, 1, 2, 3)
    assert parse_slices("1:3", 4, "a") == (1, 2)
    assert parse_slices("0:4:2", 4, "a") == (0, 2)
    assert parse_slices(":2", 4, "a") == (0, 1)


@pytest.mark.parametrize(
    ("text", "count", "message"),
    [
        ("5", 4, "write first:end"),
        ("0:9", 4, "with 4 slices"),
        ("2:2", 4, "names no slice"),
        ("4:", 4, "names no slice"),
        ("0:4:0", 4, "a step of at least 1"),
    ],
)
def test_other_slices_are_refused(text, count, message):
    with pytest.raises(ValueError, match=message):
        parse_slices(text, count, "scan.nii.gz")


def test_the_geometry_of_some_slices_starts_at_the_first_and_steps_over_the_others():
    geometry = of_slices(Geometry(np.diag([3.0, 2.0, 1.0, 1.0])), (4, 6, 8))
    np.testing.assert_allclose(geometry.affine @ [1, 0, 0, 1], [18.0, 0, 0, 1])


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Ellipsoids that change from slice to slice, 5 mm apart."""
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (32, 32, 5)), indexing="ij")
    values = 300 * (x**2 + y**2 + 0.3 * z**2 < 0.8) + 500 * ((x - 0.2 * z) ** 2 + y**2 < 0.1)
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), AFFINE), path)
    return path


def settings(scan, tiny_prior_file, coupling=0.0):
    config = default.get_config()
    config.prior, config.images, config.slices = str(tiny_prior_file), (str(scan),), "all"
    config.operator.noise_std = 0.02
    config.sampler.update({"steps": 2, "samples": 2, "batch_size": 2, "start": "pseudo_inverse"})
    config.interval.update({"steps": 2, "draws": 2})
    config.volume.update({"coupling": coupling, "depth": 2, "halo": 1})
    return config


def test_a_volume_comes_back_in_its_place_and_a_stopped_run_goes_on(scan, tiny_prior_file, tmp_path, monkeypatch):
    config = settings(scan, tiny_prior_file)
    rows = reconstruct_volume(config, tmp_path / "whole")
    written = nibabel.load(tmp_path / "whole" / "scan-4x-image.nii.gz")
    source = nibabel.load(scan)
    np.testing.assert_allclose(written.affine, source.affine, atol=1e-4)
    assert written.shape == source.shape and [row["slice"] for row in rows] == list("01234")
    assert np.abs(np.asarray(written.dataobj)).max() > 100  # the unit of the file, not [0, 1]
    assert float(rows[2]["psnr"]) > 10

    kept = driver._keep
    done = []

    def killed(*args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return kept(*args)

    monkeypatch.setattr(driver, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        reconstruct_volume(config, tmp_path / "stopped")
    assert len((tmp_path / "stopped" / "volume.csv").read_text().splitlines()) == 3
    monkeypatch.setattr(driver, "_keep", kept)
    resumed = reconstruct_volume(config, tmp_path / "stopped")
    assert [{**row, "seconds": ""} for row in resumed] == [{**row, "seconds": ""} for row in rows]
    for name in ("image", "std", "low", "high", "contrast", "truth"):
        a, b = (nibabel.load(tmp_path / run / f"scan-4x-{name}.nii.gz") for run in ("whole", "stopped"))
        np.testing.assert_array_equal(np.asarray(a.dataobj), np.asarray(b.dataobj))
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        config.seed = 1
        reconstruct_volume(config, tmp_path / "stopped")


@pytest.mark.slow
def test_coupling_brings_neighbours_together(scan, tiny_prior_file, tmp_path):
    jumps = {}
    for coupling in (1e3, 0.05):
        reconstruct_volume(settings(scan, tiny_prior_file, coupling), tmp_path / str(coupling))
        image = np.asarray(nibabel.load(tmp_path / str(coupling) / "scan-4x-image.nii.gz").dataobj)
        jumps[coupling] = np.sqrt(np.mean(np.diff(image, axis=2) ** 2))
    assert jumps[0.05] < 0.8 * jumps[1e3]


@pytest.mark.slow
def test_shared_noise_makes_alike_slices_alike(tiny_prior_file, tmp_path):
    plane = np.linspace(0, 1, 32)[:, None] * np.linspace(1, 0, 32)
    np.save(tmp_path / "same.npy", np.stack([plane, plane]).astype(np.float32))
    config = settings(tmp_path / "same.npy", tiny_prior_file)
    config.operator.noise_std = 0.0
    jumps = {}
    for noise in ("own", "shared"):
        config.volume.noise = noise
        reconstruct_volume(config, tmp_path / noise)
        jumps[noise] = np.abs(np.diff(np.load(tmp_path / noise / "same-4x-image.npy"), axis=0)).max()
    assert jumps["own"] > 1e-3 and jumps["shared"] < 1e-6


def test_what_a_volume_does_not_read_is_refused(scan, tiny_prior_file, tmp_path):
    config = settings(scan, tiny_prior_file)
    for name in ("baselines", "operator.size", "operator.oversample", "slice_index", "methods", "volume.depth"):
        with pytest.raises(ValueError, match=f"--config.{name}: read only"):
            check_overrides(config, [name], "reconstruct")
    whole = default.get_config()
    whole.parts.head = config
    with pytest.raises(ValueError, match="part 'head' has slices='all'; run a volume by itself"):
        reconstruct(whole, tmp_path / "out")


def test_several_accelerations_are_refused_by_their_names(scan, tiny_prior_file, tmp_path):
    config = settings(scan, tiny_prior_file)
    config.operator.acceleration = (4.0, 8.0)
    with pytest.raises(ValueError, match="a volume takes one of 4x and 8x; give it, as in --config"):
        reconstruct_volume(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_planes_are_for_cubes(scan, tiny_prior_file, tmp_path):
    config = settings(scan, tiny_prior_file)
    config.volume.planes = "all"
    with pytest.raises(ValueError, match=r"volume\.planes=all for voxels of 5 x 2 x 2 mm; it needs cubes"):
        reconstruct_volume(config, tmp_path / "out")


@pytest.mark.slow
def test_a_volume_seen_in_all_planes(scan, tiny_prior_file, tmp_path):
    config = settings(scan, tiny_prior_file)
    cubes = nibabel.load(scan)
    nibabel.save(nibabel.Nifti1Image(cubes.get_fdata(), np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "cubes.nii.gz")
    config.images, config.volume.planes = (str(tmp_path / "cubes.nii.gz"),), "all"
    rows = reconstruct_volume(config, tmp_path / "out")
    assert len(rows) == 5 and min(float(row["psnr"]) for row in rows) > 10


def command(scan, prior, workdir, *more):
    """The command line of a short run."""
    return [
        sys.executable, str(ROOT / "main.py"), f"--workdir={workdir}", f"--config.images=('{scan}',)",
        "--config.slices=all", f"--config.prior={prior}", "--config.sampler.steps=2", "--config.sampler.samples=2",
        "--config.interval.steps=2", "--config.interval.draws=2", *more,
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("coupled", [[], ["--config.volume.coupling=0.1", "--config.volume.depth=2"]])
def test_seven_slices_on_three_devices_are_those_of_one(coupled, tiny_prior_file, tmp_path):
    values = np.random.default_rng(0).random((7, 16, 16)).astype(np.float32)
    np.save(tmp_path / "scan.npy", values)
    for devices in ("1", "3"):
        env = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
        line = command(tmp_path / "scan.npy", tiny_prior_file, tmp_path / devices, *coupled)
        subprocess.run(line, cwd=ROOT, env=env, check=True)
    for name in ("image", "std", "low", "high", "contrast"):
        one, three = (np.load(tmp_path / devices / f"scan-4x-{name}.npy") for devices in ("1", "3"))
        assert np.ptp(one) > 0
        np.testing.assert_allclose(one, three, atol=1e-4)
    found = (tmp_path / "3" / "volume.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[1] for line in found) == list("0123456")


@pytest.mark.slow
def test_two_processes_share_a_volume_whatever_starts_them(scan, tiny_prior_file, tmp_path):
    launch = ["--coordinator_address=localhost:1", "--num_processes=2"]  # nobody listens, and nobody is asked
    pair = [
        subprocess.Popen(command(scan, tiny_prior_file, tmp_path, *launch, f"--process_id={i}"), cwd=ROOT)
        for i in range(2)
    ]
    assert [process.wait(timeout=300) for process in pair] == [0, 0]
    lines = (tmp_path / "volume.csv").read_text().splitlines()
    assert len(lines) == 6 and len({line.split(",")[1] for line in lines}) == 6


OF_ONE_PROGRAM = """
import sys
from pathlib import Path
import jax
from configs import default
from scoreinv import parallel
from scoreinv.drivers.reconstruct_volume import reconstruct_volume
parallel.initialize(sys.argv[1], 2, int(sys.argv[2]))
assert jax.device_count() == 2 * jax.local_device_count()
config = default.get_config()
config.prior, config.images, config.slices = sys.argv[3], (sys.argv[4],), "all"
config.sampler.update({"steps": 2, "samples": 2})
config.interval.update({"steps": 2, "draws": 2})
assert len(reconstruct_volume(config, Path(sys.argv[5]))) == 5
"""


@pytest.mark.slow
def test_processes_of_one_distributed_program_share_a_volume(scan, tiny_prior_file, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    arguments = [str(tiny_prior_file), str(scan), str(tmp_path)]
    pair = [
        subprocess.Popen([sys.executable, "-c", OF_ONE_PROGRAM, address, str(i), *arguments], cwd=ROOT, env=env)
        for i in range(2)
    ]
    assert [process.wait(timeout=300) for process in pair] == [0, 0]
    lines = (tmp_path / "volume.csv").read_text().splitlines()
    assert len(lines) == 6 and len({line.split(",")[1] for line in lines}) == 6
