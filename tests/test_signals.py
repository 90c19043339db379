"""SIGTERM in the middle of each mode: one line, another status than 0, and what is finished is kept."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from configs import default
from experiments.fast import shrink

ROOT = Path(__file__).parents[1]
LONG = 1_000_000
# Mode: fields that make it last, and what its progress bar is called.
MODES = {
    "reconstruct": ({"sampler.calls": 4000}, "reconstructing"),
    "prepare": ({"data.source": "phantom", "data.phantoms": 4000, "data.packed_size": 64}, "preparing volumes"),
    "train": ({"train.steps": LONG}, "step"),
    "unroll": ({"train.steps": LONG}, "step"),
    "evaluate": ({"sampler.calls": 4000}, "evaluating"),
    "sweep": ({"sampler.calls": 4000, "sweep.over": "lam=0.2,0.5"}, "sweeping"),
    "tune": ({"tune.trials": LONG, "tune.ranges": "lam=0.1:1", "tune.slices": 2}, "tuning"),
    "calibrate": ({"interval.steps": 4000, "calibrate.splits": ("validation", "test")}, "drawing"),
}
PROGRAM = """
from pathlib import Path
from tests.test_signals import small
def get_config():
    return small(Path({folder!r}), {mode!r})
"""


def small(folder, mode):
    """A configuration of seconds but for what makes the mode last."""
    config = shrink(default.get_config(), folder)
    config.operator.update({"center_fraction": 0.1, "noise_std": 0.05})
    config.images, config.baselines = (str(folder / "volumes" / "sub-1.npy"),), ("direct",)
    config.data.crop, config.train.batch_size, config.train.sample_every = 16, 2, 0
    config.train.update({"warmup": 1, "validation_images": 2, "validation_sigmas": (0.1,)})
    config.model.update({"nf": 4, "ch_mult": (1,), "patch_size": 2})
    config.unrolled.update({"cascades": 1, "features": 4, "levels": 1})
    config.update_from_flattened_dict(MODES[mode][0])
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    shrink(default.get_config(), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_sigterm_ends_every_mode_with_one_line(mode, folder, tmp_path):
    (tmp_path / "small.py").write_text(PROGRAM.format(folder=str(folder), mode=mode))
    command = [sys.executable, str(ROOT / "main.py"), f"--config={tmp_path / 'small.py'}", f"--mode={mode}"]
    env, text = dict(os.environ, PYTHONPATH=str(ROOT)), ""
    out = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "env": env}
    with subprocess.Popen([*command, f"--workdir={tmp_path / 'out'}"], **out) as process:
        assert process.stderr
        while MODES[mode][1] not in text:
            text += os.read(process.stderr.fileno(), 4096).decode()
            assert process.poll() is None, text
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        text += process.communicate(timeout=60)[1].decode()
    last = text.replace("\r", "\n").strip().splitlines()[-1]
    assert process.returncode == 1 and "Traceback" not in text
    assert last.startswith("stopped by SIGTERM; ") and ("kept" in last or "is saved" in last)
