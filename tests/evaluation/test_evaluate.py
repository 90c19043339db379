"""Evaluation, sweep and tuning on phantoms with an untrained network: resumed, shared, one program, honest splits."""

import ast
import errno
import json
import signal
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs import default
from experiments.fast import shrink
from scoreinv import build
from scoreinv.build.checks import check_config
from scoreinv.drivers.evaluate import evaluate
from scoreinv.drivers.sweep import sweep
from scoreinv.drivers.tune import _stored, parse_ranges, tune
from scoreinv.evaluation import runner as comparison
from tests.evaluation.test_rows import hold


@pytest.fixture
def config(fast_folder):
    config = shrink(default.get_config(), fast_folder)
    config.operator.center_fraction = 0.1
    config.baselines = ("direct",)
    config.sampler.start = "pseudo_inverse"  # TV is one more program inside of each
    return config


@pytest.fixture
def traces(monkeypatch):
    """The names of the methods whose programs were traced."""
    seen = []
    reconstruct = comparison._reconstruct

    def noted(make, *arguments):
        seen.append(make.method.__name__)
        return reconstruct(make, *arguments)

    monkeypatch.setattr(comparison, "_reconstruct", noted)
    return seen


def memory_maps():
    return len(Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc to count memory maps in")
def test_programs_that_are_done_with_leave_memory(config, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "PROGRAMS", 2)
    config.sweep.over = "method=tv; tv.iterations=1,2"
    sweep(config, tmp_path / "two")
    before = memory_maps()
    config.sweep.over = "method=tv; tv.iterations=3,4,5,6,7,8,9,10"
    sweep(config, tmp_path / "many")
    assert memory_maps() < 1.2 * before


def untimed(path):
    return pd.read_csv(path).drop(columns="seconds")


def test_evaluation_is_complete_and_resumes(config, tmp_path, traces):
    config.operator.noise_std = 0.05
    config.evaluate.slices = 4
    summary = evaluate(config, tmp_path)
    whole = untimed(tmp_path / "evaluate.csv")
    assert list(whole.columns) == [
        "method", "operator", "subject", "volume", "slice", "psnr", "ssim", "rmse", "network_calls",
    ]  # fmt: skip
    assert len(whole) == 8 and set(whole["subject"]) == {"sub-1", "sub-2"}
    assert {p.name for p in tmp_path.glob("*.png")} == {"4x-best.png", "4x-median.png", "4x-worst.png"}
    ours, rows = summary[summary["method"] == "scoreinv"].iloc[0], whole[whole["method"] == "scoreinv"]
    assert ours["psnr_mean"] == pytest.approx(rows["psnr"].mean()) and ours["network_calls"] == 4 * 2 * 5
    subjects = rows.groupby("subject")["ssim"].mean()
    assert ours["ssim_subject_std"] == pytest.approx(subjects.std()) and ours["subjects"] == 2
    assert f"{rows['psnr'].mean():.2f} ± {rows['psnr'].std():.2f}" in (tmp_path / "summary.md").read_text()

    text = (tmp_path / "evaluate.csv").read_text()
    (tmp_path / "evaluate.csv").write_text(text[: int(0.7 * len(text))])
    evaluate(config, tmp_path)
    resumed = untimed(tmp_path / "evaluate.csv")
    pd.testing.assert_frame_equal(
        resumed.sort_values(list(whole.columns)), whole.sort_values(list(whole.columns)), rtol=1e-4
    )

    traces.clear()
    evaluate(config, tmp_path)
    assert traces == []  # nothing left to do, nothing compiled
    config.operator.noise_std = 0.1
    with pytest.raises(ValueError, match=r"operator.noise_std was 0.05, is 0.1"):
        evaluate(config, tmp_path)


def test_baselines_are_tuned_on_validation_slices_for_each_operator(config, tmp_path, monkeypatch):
    """The weight that is best there is the one that the test slices get, at every acceleration its own."""
    config.operator.update({"acceleration": (2.0, 8.0), "noise_std": 0.1})
    config.evaluate.methods = ("tv", "direct")
    config.evaluate.tuned = "tv.lam=0.0001,0.01,0.3"
    summary = evaluate(config, tmp_path / "tuned").set_index(["method", "operator"])
    tried = pd.read_csv(tmp_path / "tuned" / "tuned.csv")
    assert set(tried["subject"]) == {"sub-0"} and len(tried) == 2 * 3 * 2
    noted = json.loads((tmp_path / "tuned" / "evaluate.json").read_text())
    for operator in ("2x", "8x"):
        means = tried[tried["operator"] == operator].groupby("setting")["psnr"].mean()
        assert summary.loc[("tv", operator), "setting"] == means.idxmax() == noted[f"tuned.tv.{operator}"]
        fixed = config.copy_and_resolve_references()
        fixed.evaluate.update({"tuned": "", "methods": ("tv",)})
        fixed.operator.acceleration = (float(operator[:-1]),)
        fixed.baseline_settings.tv.lam = float(means.idxmax().removeprefix("lam="))
        alone = evaluate(fixed, tmp_path / operator)
        assert summary.loc[("tv", operator), "psnr_mean"] == pytest.approx(float(alone["psnr_mean"].iloc[0]), rel=1e-5)
    assert summary.loc[("direct", "2x"), "setting"] == ""
    assert f"lam={noted['tuned.tv.2x'].removeprefix('lam=')}" in (tmp_path / "tuned" / "summary.md").read_text()


def test_a_sweep_of_lambda_and_acceleration_is_one_program(config, tmp_path, traces):
    config.sweep.over = "lam=0.1,0.3,0.9; acceleration=2,4"
    config.operator.noise_std = 0.1
    summary = sweep(config, tmp_path)
    assert traces == ["dpir"]
    assert len(summary) == 6 and summary["psnr_mean"].nunique() == 6
    assert (tmp_path / "lam.png").exists() and (tmp_path / "acceleration.png").exists()
    # A row is what an evaluation under its values gives.
    config.sampler.settings, config.evaluate.methods = "lam=0.9", ("scoreinv",)
    alone = evaluate(config, tmp_path / "alone")
    swept = summary[(summary["lam"] == "0.9") & (summary["acceleration"] == "4")]
    assert float(alone["psnr_mean"].iloc[0]) == pytest.approx(float(swept["psnr_mean"].iloc[0]), rel=1e-4)


def test_what_a_killed_process_had_claimed_is_taken_over(config, tmp_path):
    config.sweep.over = "method=direct; acceleration=2,4,8"
    holder = hold(tmp_path / "sweep.csv", ("direct", "4", "sub-1", "0", "1"))
    thread = threading.Timer(0.0, sweep, (config, tmp_path))
    thread.start()
    while not (tmp_path / "sweep.csv").exists():
        thread.join(0.1)
    thread.join(1.5)
    # All but the row of the other process is done, and this one waits for it.
    assert thread.is_alive() and len(pd.read_csv(tmp_path / "sweep.csv")) == 5
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    thread.join(60)
    assert len(pd.read_csv(tmp_path / "sweep.csv")) == 6


def test_tuning_sees_validation_subjects_only_and_continues(config, tmp_path, monkeypatch, traces):
    pytest.importorskip("optuna")
    splits, square_slices = [], build.square_slices

    def noted(data, split, size):
        splits.append(split)
        return square_slices(data, split, size)

    monkeypatch.setattr(build, "square_slices", noted)
    config.tune.ranges = "lam=0:1; sigma_max=0.1:1:log"
    config.operator.noise_std = 0.1
    tune(config, tmp_path / "two")
    assert set(splits) == {"validation"} and traces == ["dpir"]
    config.tune.trials = 3
    best = tune(config, tmp_path / "two")
    tune(config, tmp_path / "three")
    two, three = (pd.read_csv(tmp_path / name / "history.csv") for name in ("two", "three"))
    np.testing.assert_allclose(two, three, rtol=1e-4)
    assert len(two) == 3 and (tmp_path / "two" / "history.png").exists()
    assert best["lam"] == pytest.approx(two.loc[two["ssim"].idxmax(), "lam"])

    text = (tmp_path / "two" / "best.py").read_text()
    imported = [node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported == ["ml_collections"]  # a file that works wherever it is copied to
    namespace: dict = {}
    exec(text, namespace)
    tuned = namespace["get_config"]()
    check_config(tuned, "reconstruct")
    assert f"lam={best['lam']}" in tuned.sampler.settings and tuned.sampler.sigma_max == best["sigma_max"]
    config.sampler = tuned.sampler
    assert tuned.to_dict() == config.to_dict()


def test_a_study_on_a_full_disk_or_damaged_gets_one_line(tmp_path):
    path = tmp_path / "study.db"
    with sqlite3.connect(path) as database, pytest.raises(OSError, match=r"full.*study\.db") as full, _stored(path):
        database.execute("create table t (x)")
        database.execute("PRAGMA max_page_count = 3")
        try:
            database.executemany("insert into t values (?)", [("x" * 4000,)] * 9)
        except sqlite3.Error as error:
            raise RuntimeError("An exception is raised during the commit. ") from error  # as Optuna does
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match=r"study\.db' is damaged \(file is not a database\)"), _stored(path):
        path.write_bytes(b"no database, but as long as a header of one has to be" * 9)
        sqlite3.connect(path).execute("select 1 from t")


def test_ranges():
    assert parse_ranges("snr=0:0.4; gamma=0.1:20:log") == {"snr": (0.0, 0.4, False), "gamma": (0.1, 20.0, True)}


@pytest.mark.parametrize("text", ["lam", "lam=1", "lam=1:0", "lam=0:1:log", "lam=0:1:ln", "lam=a:b"])
def test_ranges_that_are_none_get_one_line(text):
    with pytest.raises(ValueError, match="is no range; write name=low:high"):
        parse_ranges(text)


DRIVERS = {"evaluate": evaluate, "sweep": sweep, "tune": tune}
MISTAKES = [
    ("evaluate", {"evaluate.split": "train"}, "unknown evaluate.split 'train'; choose one of test, validation"),
    ("evaluate", {"evaluate.region": "square"}, "unknown evaluate.region 'square'; choose one of all, circle"),
    ("evaluate", {"evaluate.slices": -1}, "-1 slices"),
    ("evaluate", {"operator.oversample": 0}, "oversample=0"),
    ("evaluate", {"methods": {"dds": {"speed": 1}}}, "methods.dds.speed is no field of sampler; fields: batch_size"),
    ("evaluate", {"evaluate.reference": "bm3d"}, "unknown method 'bm3d'; choose one of ald_proximal"),
    ("evaluate", {"evaluate.tuned": "tv.weight=1"}, "evaluate.tuned: 'weight' is no setting of the baseline tv"),
    ("evaluate", {"evaluate.tuned": "dps.zeta=1"}, "unknown baseline in evaluate.tuned 'dps'; choose one of cgls"),
    (
        "evaluate",
        {"evaluate.tuned": "tv.lam=1", "evaluate.split": "validation", "evaluate.methods": ("tv",)},
        "evaluate.tuned chooses on validation slices, evaluate.split scores them",
    ),
    ("sweep", {"sweep.over": "lam=0.1"}, "acceleration or operator.views has several values"),
    ("sweep", {"sweep.over": "lam=0.1", "sweep.combine": "zip"}, "unknown sweep.combine 'zip'; choose one of grid"),
    ("tune", {"tune.objective": "rmse"}, "unknown tune.objective 'rmse'; choose one of ssim, psnr"),
    ("tune", {"tune.ranges": "cg_steps=1:9"}, "'cg_steps' is no float setting of dpir; it takes churn"),
]


@pytest.mark.parametrize(("mode", "change", "message"), MISTAKES, ids=lambda v: str(v)[:30])
def test_mistakes_get_one_line_and_nothing_is_written(config, mode, change, message, tmp_path):
    config.operator.acceleration = (2.0, 4.0)
    for name, value in change.items():
        section, _, field = name.rpartition(".")
        (config[section] if section else config)[field] = value
    with pytest.raises(ValueError, match=message) as error:
        DRIVERS[mode](config, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_finer_object_and_a_circle_are_scored(config, tmp_path):
    config.evaluate.methods = ("direct",)
    plain = evaluate(config, tmp_path / "plain")
    config.operator.oversample = 2
    finer = evaluate(config, tmp_path / "finer")
    config.evaluate.region = "circle"
    circle = evaluate(config, tmp_path / "circle")
    scores = [float(s["rmse_mean"].iloc[0]) for s in (plain, finer, circle)]
    assert abs(scores[1] - scores[0]) < 0.2 * scores[0] and scores[1] != scores[0]
    assert scores[2] > scores[1]  # the corners are empty
