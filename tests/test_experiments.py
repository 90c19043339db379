"""Every experiment in its fast form, from the command to tables and figures; every configuration builds."""

import csv
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.calibration import __main__ as calibration
from experiments.run import EXPERIMENTS, SCALES, configuration, main
from experiments.tables import latex, over_axis
from scoreinv import build
from scoreinv.build.plan import method_conditions, method_names, points, with_method
from scoreinv.evaluation.conformal import load

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_configuration_builds(name, scale):
    brain = str(ROOT / "pyproject.toml")  # any file
    config = configuration(name, scale, {"mri": brain}, ["seed=3"])
    for part in config.parts.values() or [config]:
        build.model(part.model)
        build.sde(part.sde)
        assert part.seed == 3 and (part.data.packed == brain) == (part.operator.modality == "mri")
        methods = {p["method"] for p in points(part.sweep.over, "grid")} if part.sweep.over else method_names(part)
        for method in set(methods) - set(build.BASELINES):
            build.sampler(with_method(part, method).sampler)


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import(path):
    module = importlib.import_module(f"experiments.benchmarks.{path.stem}")
    said = path.name in module.__doc__ or module.__name__ in module.__doc__
    assert said or not hasattr(module, "argparse")  # what is run says how


def test_published_methods_have_the_published_calls():
    config = configuration("table2_undersampled_mri", "paper", {}, []).parts["8x"]
    config.data.size = 16
    calls = {c.labels["method"]: c.network_calls for c in method_conditions(config, (16, 16, 1))}
    assert calls["song2022"] == calls["score_sde"] == 2001 and calls["langevin"] == 2101


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_fast_form(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([name, "--fast", "--workdir=out"])
    tables = list((tmp_path / "out").glob("table*.md"))
    assert tables and all(t.with_suffix(".tex").exists() for t in tables)
    assert len(list((tmp_path / "out").rglob("*.png"))) >= len(tables)  # bars beside a table, or curves of a sweep
    for table in tables:
        head, _, *rows = table.read_text().splitlines()
        assert "PSNR" in head and rows and all("**" in "".join(rows) for _ in rows)
        assert all(len(row.split("|")) == len(head.split("|")) and "nan" not in row for row in rows)
    results = [*(tmp_path / "out").rglob("evaluate.csv"), *(tmp_path / "out").rglob("sweep.csv")]
    before = [path.read_text() for path in results]
    main([name, "--fast", "--workdir=out"])
    assert [path.read_text() for path in results] == before
    assert all(len(list(csv.DictReader(text.splitlines()))) % 2 == 0 for text in before)


@pytest.mark.slow
def test_two_processes_share_a_sweep(tmp_path):
    main(["sweep_lambda", "--fast", f"--workdir={tmp_path / 'alone'}"])
    command = [sys.executable, "-m", "experiments.run", "sweep_lambda", "--fast", f"--workdir={tmp_path / 'shared'}"]
    pair = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in pair:
        assert process.wait() == 0, process.communicate()

    def rows(folder):
        found = csv.DictReader((tmp_path / folder / "sweep.csv").read_text().splitlines())
        return sorted(tuple(v for k, v in row.items() if k != "seconds") for row in found)

    assert len(set(rows("shared"))) == len(rows("shared"))
    assert rows("shared") == rows("alone")


def test_mistakes_end_with_one_line(capsys):
    with pytest.raises(SystemExit, match="cannot apply 'speed=3'"):
        main(["sweep_lambda", "--workdir=out", "speed=3"])
    with pytest.raises(SystemExit, match="unknown part '9x'"):
        main(["frontier", "--parts=mri-8x,9x"])


def test_parts_are_chosen():
    assert list(configuration("frontier", "small", {}, [], ("mri-8x",)).parts) == ["mri-8x"]


def test_a_table_over_an_axis_takes_what_does_not_concern_it_first():
    rows = [("tv", "", 20.0, 0.5), ("dds", "5", 19.0, 0.6), ("dds", "50", 23.0, 0.7), ("dps", "50", 24.0, 0.61)]
    summary = pd.DataFrame(rows, columns=["method", "calls", "psnr_mean", "ssim_mean"])
    assert over_axis(summary, "method", "calls") == [
        ["PSNR, dB / SSIM over calls", "0", "5", "50"],
        ["tv", "**20.00 / 0.500**", "", ""],
        ["dds", "", "**19.00 / 0.600**", "23.00 / 0.700"],
        ["dps", "", "", "**24.00 / 0.610**"],
    ]


def test_latex_escapes():
    text = latex([["method", "PSNR"], ["score_sde", "**30.1 ± 2.0**"]])
    assert r"score\_sde & \textbf{30.1 $\pm$ 2.0} \\" in text and text.startswith(r"\begin{tabular}{lr}")


def test_scores_of_real_projections_know_scale_and_threshold():
    from experiments.real_ct.run import matthews, of_views, psnr

    truth = np.zeros((32, 32), bool)
    truth[8:20, 10:25] = True
    noise = np.random.default_rng(0).normal(0, 0.05, (32, 32))
    assert matthews(5 * (truth + noise), truth) > 0.99
    assert matthews(noise, truth) < 0.3
    assert abs(psnr(7 * (truth + noise), truth.astype(float)) - 20 * np.log10(1 / 0.05)) < 0.5
    arrays = {"sinogram": np.arange(12.0).reshape(4, 3), "angles": np.arange(4.0), "data_dark": np.ones((4, 3))}
    some = of_views(arrays, np.array([True, False, True, False]))
    assert some["sinogram"].shape == (2, 3) and some["angles"].shape == (2,) and some["data_dark"].shape == (4, 3)


@pytest.mark.slow
def test_calibration_in_its_fast_form(tmp_path, capsys):
    calibration.main(["--fast", f"--workdir={tmp_path}"])
    reports = json.loads((tmp_path / "coverage.json").read_text())
    both = ("mri-4x", "mri-8x", "ct-23-views", "ct-90-degrees")
    names = {f"{task}-{noise}" for task in both for noise in ("noisy", "noise-free")}
    assert set(reports) == names | {"mri-4x-256-noisy", "ct-46-views-256-noisy"}
    bundled = load(tmp_path / "prior.intervals.json")
    assert {"4x", "8x", "4x, no noise", "23-views", "23-views, no noise", "any"} < set(bundled) and len(bundled) == 9
    assert (tmp_path / "reliability.png").exists() and "mri-8x" in (tmp_path / "coverage.md").read_text()
    with pytest.raises(SystemExit, match="give --mri or --ct"):
        calibration.main([])


@pytest.mark.slow
def test_the_frontier_of_coverage_in_its_fast_form_continues(tmp_path):
    from experiments.calibration import frontier

    arguments = ["--fast", "--slices=1", f"--workdir={tmp_path}"]
    frontier.main(arguments)
    before = (tmp_path / "frontier.csv").read_text()
    rows = list(csv.DictReader(before.splitlines()))
    assert [row["method"] for row in rows] == list(frontier.METHODS)[:3] and {row["calls"] for row in rows} == {"5"}
    assert all(np.isfinite(float(row["psnr"])) and 0 <= float(row["coverage"]) <= 1 for row in rows)
    assert (tmp_path / "frontier.png").stat().st_size > 10000
    frontier.main(arguments)
    assert (tmp_path / "frontier.csv").read_text() == before


def test_the_real_scans_table_has_the_best_weight_of_each_method(tmp_path):
    from experiments.real_mri.__main__ import COLUMNS, best, read_rows, table

    rows = [
        ("4", "63", "TV", "0.001", "30.00", "0.9", "1.0"),
        ("4", "63", "TV", "0.003", "31.00", "0.8", "1.0"),
        ("8", "43", "TV", "0.001", "29.00", "0.7", "1.0"),
        ("8", "43", "scoreinv", "0", "30.50", "0.95", "2.0"),
    ]
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    chosen = best(read_rows(tmp_path / "rows.csv"))
    assert [tuple(row[c] for c in COLUMNS) for row in chosen] == rows[1:]
    lines = table(chosen).splitlines()
    assert lines[2].startswith("| TV |31.00 / 0.800") and lines[3].startswith("| scoreinv ||30.50 / 0.950")


def test_the_figure_of_an_undersampled_scan_has_each_image_and_its_middle():
    from experiments.real_mri import undersampled

    images = {name: np.random.default_rng(0).random((30, 24)) for name in undersampled.WEIGHTS}
    above, *_, below = undersampled.figure(images).axes
    assert above.get_title() == "zero-filled"
    np.testing.assert_array_equal(above.images[0].get_array(), images["zero-filled"])
    np.testing.assert_array_equal(below.images[0].get_array(), images["scoreinv"][10:20, 8:16])


def test_a_volume_is_scored_in_all_three_planes_and_by_its_jumps():
    from experiments.volumes.__main__ import scores

    truth = np.full((12, 16, 16), 0.5, np.float32)
    image = truth.copy()
    image[::2] += 0.1  # flickers from slice to slice
    found = scores(image, truth)
    assert found["across rows"].split(" /")[0] == found["across columns"].split(" /")[0] == "23.01"  # half are 0.1 off
    assert found["jump"] == found["jump of the error"] == "0.1000"
