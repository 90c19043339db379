"""The loop of every training, on a model of three numbers: what is delivered, and what a kill may not break."""

import dataclasses
import itertools
import shutil

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pandas as pd
import pytest

from scoreinv import parallel
from scoreinv.datasets.augmentation import Appearance
from scoreinv.formats import prior_file
from scoreinv.training import loop, monitor, throughput
from scoreinv.training.batches import Batches, draw_from_pool
from scoreinv.training.optimization import Descent, Schedule

DESCENT = Descent("adam", 0.9, 0.99, 1e-8, 1.0)
SETTINGS = loop.Settings(Schedule(0.1, 0, "none", 4), DESCENT, 2, ema=0.5, checkpoint_every=1, keep_checkpoints=9)


def toy(**changes):
    """Three numbers that are pulled to the mean of the images; their validation loss is the first of them."""
    fields = {
        "init": lambda key: {"w": jax.random.normal(key, (3,))},
        "loss": lambda key, params, image: jnp.mean((params["w"] - image.mean()) ** 2),
        "validate": lambda params: {"0.1": float(params["w"][0])},
        "columns": ("0.1",),
        "network": {"numbers": 3},
        "file": "prior.safetensors",
        "metadata": {"kind": "toy"},
    }
    return monitor.Trained(**fields | changes)


def images():
    pool = np.linspace(0, 1, 8 * 16).reshape(8, 4, 4, 1).astype(np.float16)
    return Batches(itertools.repeat(parallel.shard(pool)), draw_from_pool(2, 2, Appearance()), images=8)


def train(workdir, steps=4, trained=None, **changes):
    schedule = dataclasses.replace(SETTINGS.schedule, steps=steps)
    loop.run(trained or toy(), images(), dataclasses.replace(SETTINGS, schedule=schedule, **changes), workdir)


def states(workdir):
    """{step: state as a dict} of all checkpoints."""
    folders = sorted((workdir / "checkpoints").resolve().glob("[0-9]*"), key=lambda p: int(p.name))
    return {int(f.name): ocp.StandardCheckpointer().restore(f / "state") for f in folders}


def delivered(workdir):
    params, metadata = prior_file.read_prior(workdir / "prior.safetensors")
    return params["w"], metadata


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    seen = {}
    sample = lambda params: seen.update(w=np.array(params["w"])) or jnp.zeros((1, 4, 4, 1))  # noqa: E731
    train(workdir, trained=toy(sample=sample), sample_every=4)
    return workdir, seen["w"]


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "copy")


def test_the_average_of_the_parameters_is_what_is_validated_drawn_and_delivered(whole):
    workdir, drawn = whole
    saved = states(workdir)
    for step in range(1, 4):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * saved[step]["ema"]["w"] + (1 - decay) * saved[step + 1]["params"]["w"]
        np.testing.assert_allclose(saved[step + 1]["ema"]["w"], expected, rtol=1e-5)
    last = saved[4]
    assert np.abs(last["ema"]["w"] - last["params"]["w"]).min() > 0.01
    for found in (delivered(workdir)[0], drawn):
        np.testing.assert_allclose(found, last["ema"]["w"], rtol=1e-3)
    assert delivered(workdir)[1] == {"kind": "toy", "step": 4}
    rows = pd.read_csv(workdir / "losses.csv")
    np.testing.assert_allclose(rows["0.1"], [saved[step]["ema"]["w"][0] for step in range(1, 5)], rtol=1e-5)
    np.testing.assert_allclose(rows["train"], [saved[step]["loss"] for step in range(1, 5)], rtol=1e-5)


def test_the_seed_decides(whole, tmp_path):
    train(tmp_path / "same", 1)
    train(tmp_path / "other", 1, seed=1)
    first = states(whole[0])[1]["params"]["w"]
    np.testing.assert_array_equal(states(tmp_path / "same")[1]["params"]["w"], first)
    assert np.abs(states(tmp_path / "other")[1]["params"]["w"] - first).max() > 0.1


def no_file(workdir):
    (workdir / "prior.safetensors").unlink()


def an_older_file(workdir):
    prior_file.save_prior(workdir / "prior.safetensors", {"w": np.zeros(3)}, {"kind": "toy", "step": 3})


def a_file_without_a_step(workdir):
    prior_file.save_prior(workdir / "prior.safetensors", {"w": np.zeros(3)}, {"kind": "toy"})


def a_damaged_file(workdir):
    (workdir / "prior.safetensors").write_bytes(b"x" * 30)


def no_row(workdir):
    lines = (workdir / "losses.csv").read_text().splitlines(keepends=True)
    (workdir / "losses.csv").write_text("".join(lines[:-1]))


@pytest.mark.parametrize("left", [no_file, an_older_file, a_file_without_a_step, a_damaged_file, no_row])
def test_a_run_killed_between_checkpoint_and_report_reports_when_started_again(copy, left):
    file, rows = delivered(copy), (copy / "losses.csv").read_text()
    left(copy)
    train(copy)
    np.testing.assert_array_equal(delivered(copy)[0], file[0])
    assert delivered(copy)[1] == file[1] and (copy / "losses.csv").read_text() == rows


def test_a_kill_in_the_report_itself_is_made_up_for(tmp_path):
    def killed(params):
        raise MemoryError

    with pytest.raises(MemoryError):
        train(tmp_path, 1, toy(validate=killed))
    assert not (tmp_path / "prior.safetensors").exists()
    train(tmp_path, 2)
    assert delivered(tmp_path)[1]["step"] == 2 and pd.read_csv(tmp_path / "losses.csv")["step"].tolist() == [1, 2]


def test_rows_are_neither_lost_doubled_nor_glued_after_a_kill_and_a_damaged_checkpoint(copy, tmp_path):
    with (copy / "losses.csv").open("a") as file:
        file.write("5,0.3")
    for step in ("3", "4"):
        shutil.rmtree(copy / "checkpoints" / step)
    train(copy, 6)
    train(tmp_path / "whole", 6)
    assert (copy / "losses.csv").read_text() == (tmp_path / "whole" / "losses.csv").read_text()
    np.testing.assert_array_equal(delivered(copy)[0], delivered(tmp_path / "whole")[0])
    assert pd.read_csv(copy / "losses.csv")["step"].tolist() == [1, 2, 3, 4, 5, 6]


def test_what_differs_from_before_is_said_when_a_training_goes_on(copy, caplog):
    for seed in (0, 0, 1):
        assert "continuing with other settings" not in caplog.text
        train(copy, made_with={"seed": seed, "data.folders": ("a",)})
    assert "continuing with other settings: seed was 0, is 1" in caplog.text and "folders" not in caplog.text


def damage(workdir, *steps):
    for path in (path for step in steps for path in (workdir / "checkpoints" / step).rglob("*")):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_damaged_checkpoint_falls_back_to_the_one_before(copy, whole, caplog):
    damage(copy, "4")
    (copy / "prior.safetensors").unlink()
    train(copy)
    assert "checkpoint 4 is unreadable" in caplog.text
    np.testing.assert_array_equal(delivered(copy)[0], delivered(whole[0])[0])


def test_unreadable_checkpoints_alone_are_refused_and_kept(copy):
    damage(copy, "1", "2", "3", "4")
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read with this configuration"):
        train(copy)
    assert {p.name for p in (copy / "checkpoints").iterdir()} >= {"1", "2", "3", "4"}


def test_another_start_is_taken_from_a_file(tmp_path):
    prior_file.save_prior(tmp_path / "start.safetensors", {"w": np.full(3, 7.0)}, {})
    train(tmp_path / "run", 1, init_from=str(tmp_path / "start.safetensors"))
    assert np.abs(states(tmp_path / "run")[1]["params"]["w"] - 7).max() < 0.2


def test_several_steps_in_one_call_are_the_same_steps(whole, tmp_path):
    train(tmp_path, steps_per_call=2)
    np.testing.assert_allclose(delivered(tmp_path)[0], delivered(whole[0])[0], atol=1e-3)
    assert list(states(tmp_path)) == [2, 4]


@pytest.mark.parametrize("decay", ["cosine", "none"])
def test_the_learning_rate_by_steps(decay):
    schedule = Schedule(0.2, 10, decay, 50)
    expected = (
        optax.warmup_cosine_decay_schedule(0.0, 0.2, 10, 50) if decay == "cosine" else optax.linear_schedule(0, 0.2, 10)
    )
    for step in range(60):
        assert schedule.rate(step, 123.0) == pytest.approx(float(expected(step)), abs=1e-7)
    assert not schedule.finished(49, 1e9) and schedule.finished(50, 0.0)


def test_the_learning_rate_by_seconds_follows_the_fraction_used():
    schedule = Schedule(0.2, 10, "cosine", 1, 60.0)
    assert schedule.rate(5, 0.0) == pytest.approx(0.1)  # half of the warm-up
    assert schedule.rate(1000, 30.0) == pytest.approx(0.1)  # half of the time
    assert schedule.rate(1000, 61.0) == 0.0
    assert not schedule.finished(1000, 59.0) and schedule.finished(1, 60.0)


def test_a_training_bound_by_seconds_ends_saves_in_between_and_does_not_start_again(tmp_path):
    settings = dataclasses.replace(SETTINGS, schedule=Schedule(0.1, 0, "cosine", 1, 1.0), checkpoint_every=10**6)
    loop.run(toy(), images(), settings, tmp_path)
    saved = states(tmp_path)
    step = max(saved)
    assert step > 1 and saved[step]["seconds"] >= 1.0 and len(saved) > 2
    loop.run(toy(), images(), settings, tmp_path)
    assert max(states(tmp_path)) == step


def test_the_step_says_how_long_it_took_and_what_it_does_a_second(monkeypatch):
    said = []
    monkeypatch.setattr(throughput.logging, "info", lambda text, *values: said.append(text % values))
    monkeypatch.setattr(throughput, "peak", lambda kind: 1e12)
    step = throughput.CompiledStep(jax.jit(lambda x: x @ x), images=10, loops=3)
    x = jnp.ones((64, 64))
    step(x)
    assert len(said) == 1 and said[0].startswith("compiled the step in ") and "first run took" in said[0]
    clock = iter([step._since + 2.0])
    step(x), step(x)
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    rates = step.rates()
    assert rates["images_per_second"] == pytest.approx(10)  # two calls of ten images in two seconds
    assert rates["fraction_of_peak"] == pytest.approx(3 * 2 * 64**3 / 1e12, rel=0.05)


def test_peaks_are_looked_up_by_the_longest_name():
    assert throughput.peak("NVIDIA L40S") == 362e12 and throughput.peak("NVIDIA L4") == 121e12
    assert throughput.peak("TFRT_CPU_0") is None


def test_a_state_is_a_tree_of_arrays(whole):
    flat = flax.traverse_util.flatten_dict({k: v for k, v in states(whole[0])[1].items() if k != "opt_state"})
    assert {path[0] for path in flat} == {"step", "params", "ema", "key", "loss", "seconds"}


def test_a_network_beyond_the_machine_s_memory_is_refused_before_it_is_made(tmp_path):
    large = toy(init=lambda key: {"w": jnp.zeros((2**20, 2**20))})
    with pytest.raises(MemoryError, match=r"takes 3\.28e\+04 GiB beside its activations"):
        train(tmp_path, trained=large)
