"""Result files: rows survive kills, headers are kept, and a dead process loses its claims."""

import signal
import subprocess
import sys

import pytest

from scoreinv.evaluation.rows import ResultFile, claim_settings

ROWS = [{"method": "tv", "psnr": "30.1"}, {"method": "dpir", "psnr": "32"}]
HOLDER = """
import fcntl, sys, time
with open(sys.argv[1], "a+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]))
    print("held", flush=True)
    time.sleep(60)
"""


def hold(path, unit):
    """A process that has claimed one unit."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path.with_suffix(".claims")), str(unit)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    return process


def test_rows_are_appended_and_read(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    for row in ROWS:
        ResultFile(path, ("method", "psnr")).append([row])
    assert ResultFile(path, ("method", "psnr")).rows() == ROWS
    assert path.read_text() == "method,psnr\ntv,30.1\ndpir,32\n"


@pytest.mark.parametrize("kept", range(1, 24))
def test_a_half_written_last_line_is_not_read_and_is_repaired(tmp_path, kept):
    path = tmp_path / "rows.csv"
    path.write_text("method,psnr\ntv,30.1\ndpir,32\n"[:kept])
    file = ResultFile(path, ("method", "psnr"))
    whole = file.rows()
    assert whole == ROWS[: len(whole)]
    file.append(ROWS[len(whole) :])
    assert path.read_text() == "method,psnr\ntv,30.1\ndpir,32\n"


def test_other_columns_are_refused(tmp_path):
    ResultFile(tmp_path / "rows.csv", ("method", "psnr")).append(ROWS)
    with pytest.raises(ValueError, match=r"has the columns method,psnr, this run makes method,lam; use another"):
        ResultFile(tmp_path / "rows.csv", ("method", "lam"))


def test_a_claim_holds_until_its_process_dies(tmp_path):
    file = ResultFile(tmp_path / "rows.csv", ("method", "psnr"))
    process = hold(tmp_path / "rows.csv", 3)
    with file.claims() as claims:
        with claims.claim(3) as mine:
            assert not mine
        with claims.claim(2) as mine:
            assert mine
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with claims.claim(3) as mine:
            assert mine


def test_results_of_other_settings_are_refused_and_new_settings_are_noted(tmp_path):
    path = tmp_path / "settings.json"
    claim_settings(path, {"seed": 0, "views": (23,)})
    claim_settings(path, {"seed": 0, "views": [23], "methods.dds.steps": 20})
    with pytest.raises(ValueError, match=r"holds results of another run \(methods.dds.steps was 20, is 40\)"):
        claim_settings(path, {"seed": 0, "methods.dds.steps": 40})
