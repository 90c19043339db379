"""The experiment on metal artifacts in its fast form: from the command to the table, and again from what is there."""

import csv

import pytest

from experiments.table3_metal_artifacts.run import SIZES, main


def test_fast_form_makes_the_table_and_continues(tmp_path, capsys):
    arguments = ["--fast", "--slices=1", "--paper", f"--workdir={tmp_path}"]
    main(arguments)
    rows = list(csv.DictReader((tmp_path / "evaluate.csv").open()))
    methods = ["uncorrected", "li", "nmar", "tv", "scoreinv", "song2022"]
    assert [(row["operator"], row["method"]) for row in rows] == [(s, m) for s in SIZES for m in methods]
    assert all(float(row["rmse"]) > 0 and float(row["psnr"]) > 0 for row in rows)
    assert all((tmp_path / f"{size}.png").stat().st_size > 10000 for size in SIZES)
    before = (tmp_path / "evaluate.csv").read_text()
    (tmp_path / "table.md").unlink()
    main(arguments)
    assert (tmp_path / "evaluate.csv").read_text() == before
    assert "scoreinv" in (tmp_path / "table.md").read_text() and "above li" in capsys.readouterr().out


def test_a_missing_folder_ends_with_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*does not exist"):
        main([f"--ct={tmp_path}/none", f"--workdir={tmp_path}/out"])
