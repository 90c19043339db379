"""Training: streamed data, signals, NaN, a full disk, pictures, several processes."""

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import build
from scoreinv.build import priors as priors_room
from scoreinv.build import training
from scoreinv.datasets.pipeline import Stream, training_batches
from scoreinv.datasets.slices import Slice
from scoreinv.datasets.views import Views
from scoreinv.drivers.prepare import prepare
from scoreinv.drivers.train import train
from scoreinv.formats import prior_file
from scoreinv.scans.intensity import IntensityScale
from scoreinv.training import optimization
from scoreinv.training.monitor import Monitor
from tests.training import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return tiny.get_config()


class SmallNetwork(nn.Module):
    """Compiles in a moment; the loop does not care."""

    remat: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, sigma):
        h = nn.swish(nn.Conv(32, (3, 3))(x) / sigma[:, None, None, None])
        return nn.Conv(x.shape[-1], (3, 3))(nn.swish(nn.Conv(32, (3, 3))(h)))


@pytest.fixture
def small_network(monkeypatch):
    for room in (training, priors_room):
        monkeypatch.setattr(room, "model", lambda config: SmallNetwork())


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return str(prepare(tiny.get_config(), tmp_path_factory.mktemp("prepared")))


def run_main(workdir, *arguments, **popen):
    command = [sys.executable, str(ROOT / "main.py"), f"--config={ROOT}/tests/training/tiny.py", "--mode=train"]
    return subprocess.Popen([*command, f"--workdir={workdir}", *arguments], stderr=subprocess.PIPE, text=True, **popen)


def wait_for(path, process):
    while process.poll() is None and not path.exists():
        os.sched_yield()
    assert process.poll() is None, process.communicate()


def parameters(workdir):
    return prior_file.read_prior(workdir / "prior.safetensors")[0]


def assert_same(one, other):
    assert jax.tree.all(jax.tree.map(np.array_equal, parameters(one), parameters(other)))


@pytest.mark.slow
@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_training_stopped_and_resumed_equals_uninterrupted_bit_for_bit(config, packed, tmp_path, number, on_device):
    fields = [f"--config.data.packed={packed}", f"--config.data.on_device={on_device}"]
    process = run_main(tmp_path / "stopped", *fields, "--config.train.steps=1000000")
    wait_for(tmp_path / "stopped" / "checkpoints" / "6", process)
    process.send_signal(number)
    _, err = process.communicate()
    newest = max(int(p.name) for p in (tmp_path / "stopped" / "checkpoints").iterdir() if p.name.isdigit())
    if number == signal.SIGTERM:
        assert process.returncode == 1 and "Traceback" not in err
        assert f"stopped by SIGTERM; step {newest} is saved: the same command continues" in err.splitlines()[-1]
    config.data.update({"packed": packed, "on_device": on_device})
    config.train.steps = newest + 3
    train(config, tmp_path / "stopped")
    train(config, tmp_path / "whole")
    assert_same(tmp_path / "stopped", tmp_path / "whole")


def test_sigterm_saves_says_so_and_continues_as_if_uninterrupted(small_network, config, packed, tmp_path, monkeypatch):
    """Bit for bit, from a stream whose position is in the checkpoint."""
    config.data.update({"packed": packed, "on_device": False})
    config.train.steps = 6
    scalars = Monitor.scalars

    def then_stop(self, step, values):
        scalars(self, step, values)
        if step == 3:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as stopping, pytest.raises(KeyboardInterrupt) as end:
        stopping.setattr(Monitor, "scalars", then_stop)
        train(config, tmp_path / "stopped")
    assert str(end.value) == "stopped by SIGTERM; step 3 is saved: the same command continues"
    assert (tmp_path / "stopped" / "checkpoints" / "3").is_dir()
    train(config, tmp_path / "stopped")
    train(config, tmp_path / "whole")
    assert_same(tmp_path / "stopped", tmp_path / "whole")


def test_nan_stops_with_the_last_good_checkpoint(small_network, config, tmp_path):
    config.train.steps = 1
    train(config, tmp_path)
    before = parameters(tmp_path)
    config.train.update({"steps": 9, "learning_rate": 1e38, "checkpoint_every": 100})
    with pytest.raises(FloatingPointError, match=r"nan at step [34]; the checkpoint of step 1 is intact"):
        train(config, tmp_path)
    assert jax.tree.all(jax.tree.map(np.array_equal, before, parameters(tmp_path)))


@pytest.fixture
def limit_file_size():
    """Writes beyond a limit fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_gets_one_line_and_the_checkpoint_before_stays(small_network, config, tmp_path, limit_file_size):
    config.train.steps = 2
    train(config, tmp_path)
    config.train.steps = 4
    limit_file_size(16384)
    with pytest.raises(OSError, match=r"the checkpoint of step 2 is intact: make room") as error:
        train(config, tmp_path)
    limit_file_size(resource.RLIM_INFINITY)
    assert "\n" not in str(error.value)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()] == ["2"]
    train(config, tmp_path)
    assert (tmp_path / "checkpoints" / "4").is_dir()


def test_pictures_and_curves(small_network, config, tmp_path):
    config.train.update({"steps": 2, "steps_per_call": 2, "sample_every": 2, "samples": 2, "sample_steps": 2})
    train(config, tmp_path)
    assert (tmp_path / "samples" / "2.png").read_bytes()[:4] == b"\x89PNG"
    (events,) = (tmp_path / "tensorboard").iterdir()
    for name in (b"train/loss", b"train/images_per_second", b"train/learning_rate", b"validation/0.1"):
        assert name in events.read_bytes()
    assert build.load_prior(str(tmp_path)).shape == (32, 32, 1)


@pytest.mark.slow
def test_complex_images_in_views_drawn_by_the_step(small_network, config, tmp_path):
    config.data.update({"views": 0, "native": 0.5, "phases": 0.5, "rotation": 10.0})
    config.model.num_channels, config.train.validation_pixels = 2, (1.0,)
    train(config, tmp_path)
    assert build.load_prior(str(tmp_path)).shape == (32, 32, 2)
    header, *rows = (tmp_path / "losses.csv").read_text().splitlines()
    assert header == "step,train,0.1,x1 0.1" and [row.split(",")[0] for row in rows] == ["2", "4"]


def test_bfloat16_is_for_convolutions_alone(config):
    config.model.dtype = "bfloat16"
    model = build.model(config.model)
    x = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32)
    out, variables = jax.eval_shape(lambda key, x: model.init_with_output(key, x, x[:, 0, 0, 0]), jax.random.key(0), x)
    assert model.dtype == jnp.bfloat16 and out.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data.source": "folder"}, "names no folder"),
        ({"data.packed": "missing.npz"}, "does not exist; expected a packed file"),
        ({"data.crop": 64}, "give 0 < crop <= size"),
        ({"data.validation_subjects": ()}, "falls into split 'validation'"),
        ({"train.batch_size": 0}, "train.batch_size=0"),
        ({"train.decay": "linear"}, "unknown train.decay 'linear'"),
        ({"model.dtype": "float16"}, "unknown model.dtype 'float16'; choose one of bfloat16, float32"),
        ({"sde.sigma_min": 30.0}, r"sde.sigma_min=30, sde.sigma_max=20; give the smaller one first"),
        ({"model.num_channels": 3}, r"give 1 \(real images\) or 2"),
    ],
    ids=str,
)
def test_mistakes_get_one_line_and_nothing_is_written(config, change, message, tmp_path):
    config.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=message) as error:
        train(config, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def numbered_slices(count):
    """Constant images whose brightness is their number."""
    return [
        Slice(np.full((8, 8), i / count, np.float32), str(i), i, "", (1.0, 1.0), IntensityScale(1.0, 0.0))
        for i in range(count)
    ]


STILL = Views(8, (0.6, 0.6))  # leaves constant images constant


def numbers(batch, count):
    return [round(float(np.median(image)) * count) for image in batch]


def test_processes_share_every_epoch_and_orders_differ_between_epochs():
    streams = [Stream(3, 4, threads=2, process=process, processes=2) for process in range(2)]
    iterators = [training_batches(numbered_slices(12), STILL, stream) for stream in streams]
    epochs = [[n for it in iterators for _ in range(2) for n in numbers(next(it), 12)] for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0] != epochs[1]


def test_an_iterator_goes_on_where_its_state_was_saved():
    views, stream = Views(8, (0.5, 1.0), 30.0), Stream(2, 4, seed=7)
    whole, resumed = (training_batches(numbered_slices(5), views, stream) for _ in range(2))
    for _ in range(4):
        next(whole)
    resumed.set_state(whole.get_state())
    np.testing.assert_array_equal(next(whole), next(resumed))


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def launch_processes(workdir, count, devices, *arguments):
    """As many processes of one run, each with so many virtual devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    env = dict(os.environ, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    env["JAX_CPU_COLLECTIVES_IMPLEMENTATION"] = "gloo"
    if count > 1:
        arguments = (*arguments, f"--coordinator_address=localhost:{free_port()}", f"--num_processes={count}")
    ids = [[f"--process_id={i}"] if count > 1 else [] for i in range(count)]
    return [run_main(workdir, *arguments, *number, env=env) for number in ids]


@pytest.mark.slow
def test_two_processes_of_two_devices_equal_one_process_of_four(tmp_path):
    for process in [*launch_processes(tmp_path / "two", 2, 2), *launch_processes(tmp_path / "one", 1, 4)]:
        _, err = process.communicate()
        assert process.returncode == 0, err
    one, two = parameters(tmp_path / "one"), parameters(tmp_path / "two")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), one, two)
    assert sorted(p.name for p in (tmp_path / "two" / "checkpoints").iterdir()) == ["2", "4"]


@pytest.mark.slow
def test_sigterm_to_one_of_two_processes_stops_both_at_the_same_step(tmp_path):
    pair = launch_processes(tmp_path, 2, 1, "--config.train.steps=1000000")
    wait_for(tmp_path / "checkpoints" / "4", pair[0])
    pair[1].send_signal(signal.SIGTERM)
    last = [process.communicate(timeout=120)[1].splitlines()[-1] for process in pair]
    saved = max(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert all(f"stopped by SIGTERM; step {saved} is saved" in line for line in last), last
    assert all(process.returncode for process in pair)


def first_update(params, gradient, **changes):
    descent = optimization.Descent(
        **{"optimizer": "adam", "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "clip": 1e9} | changes
    )
    optimizer = optimization.make_optimizer(descent)

    @jax.jit
    def second(params, gradient):  # as Muon's Adam looks a step ahead (Nesterov)
        state = optimizer.init(params)
        for _ in range(2):
            updates, state = optimizer.update(gradient, state, params)
        return updates

    return second(params, gradient)


def test_muon_moves_a_kernel_by_an_orthogonal_matrix_and_a_bias_like_adam():
    params = {"kernel": jnp.zeros((3, 3, 4, 8)), "bias": jnp.zeros(8)}
    gradient = jax.tree.map(lambda p: jax.random.normal(jax.random.key(1), p.shape), params)
    muon, adam = (first_update(params, gradient, optimizer=name) for name in ("muon", "adam"))
    np.testing.assert_allclose(muon["bias"], adam["bias"], rtol=0.2)
    singular = np.linalg.svd(np.reshape(muon["kernel"], (36, 8)), compute_uv=False)
    # 0.2 sqrt(36) each, as far as five Newton-Schulz steps make them equal
    assert np.all(abs(singular / (0.2 * 6) - 1) < 0.35)
    assert singular.max() / singular.min() < 1.8 < np.linalg.cond(np.reshape(gradient["kernel"], (36, 8)))


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="adam, muon"):
        first_update({}, {}, optimizer="adamw")
