"""The experiment on metal artifacts in its fast form: from the command to the table, and again from what is there."""

import csv
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments.table3_metal_artifacts.run import SIZES, configuration, main, shrink
from scoreinv.baselines.li import li
from scoreinv.build.comparison import choose_slices, fitting_prior
from scoreinv.build.plan import method_conditions
from scoreinv.drivers.evaluate import evaluate
from scoreinv.drivers.sweep import sweep
from scoreinv.evaluation.metrics import psnr
from scoreinv.evaluation.runner import Runner
from scoreinv.operators.mar import remove_metal


@pytest.mark.slow
def test_fast_form_makes_the_table_and_continues(tmp_path, capsys):
    arguments = ["--fast", "--slices=1", "--paper", f"--workdir={tmp_path}"]
    main(arguments)
    rows = list(csv.DictReader((tmp_path / "evaluate.csv").open()))
    methods = ["uncorrected", "li", "nmar", "tv", "song2022", "scoreinv"]
    assert [(row["operator"], row["method"]) for row in rows] == [(s, m) for s in SIZES for m in methods]
    assert all(float(row["rmse"]) > 0 and float(row["psnr"]) > 0 for row in rows)
    assert all((tmp_path / f"{size}.png").stat().st_size > 10000 for size in SIZES)
    before = (tmp_path / "evaluate.csv").read_text()
    (tmp_path / "table.md").unlink()
    main(arguments)
    assert (tmp_path / "evaluate.csv").read_text() == before
    assert "scoreinv" in (tmp_path / "table.md").read_text() and "PSNR, dB over tv" in capsys.readouterr().out


def test_a_missing_folder_ends_with_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*does not exist"):
        main([f"--ct={tmp_path}/none", f"--workdir={tmp_path}/out"])


@pytest.fixture
def folder(fast_folder, tmp_path):
    """Its volumes become Hounsfield units here, and are those of other tests there."""
    return Path(shutil.copytree(fast_folder, tmp_path / "fast"))


@pytest.mark.slow
def test_metal_is_evaluated_and_swept_like_any_modality(folder, tmp_path):
    config = configuration("small", "test", 2)
    shrink(config, folder)
    config.prior, config.evaluate.methods = str(folder / "prior.safetensors"), ("li", "scoreinv")
    config.sampler.start = "pseudo_inverse"
    evaluate(config, tmp_path / "one")
    rows = list(csv.DictReader((tmp_path / "one" / "evaluate.csv").open()))
    shape = (config.data.size, config.data.size, 1)
    slices, condition = choose_slices(config, "test", 2), method_conditions(config, shape)[0]
    runner = Runner(fitting_prior(config, shape), slices, jnp.ones, config.seed)
    for index, row in enumerate(row for row in rows if row["method"] == "li"):
        scan = runner.measured(condition, index)
        image = remove_metal(jax.jit(li())(None, scan.measurement), scan.metal)
        assert float(row["psnr"]) == pytest.approx(float(psnr(image, remove_metal(scan.truth, scan.metal))), abs=0.01)
    assert (tmp_path / "one" / "16-views-worst.png").exists()
    config.sweep.over = "method=li; metal_size=12,40"
    config.evaluate.methods = ()
    small, large = sweep(config, tmp_path / "sizes")["psnr_mean"]
    assert small > large


def test_a_scan_without_hounsfield_units_is_refused_before_anything_is_written(folder, tmp_path):
    config = configuration("small", "test", 2)
    shrink(config, folder)
    config.data.intensity = "none"
    with pytest.raises(ValueError, match="metal is simulated in Hounsfield units"):
        evaluate(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
