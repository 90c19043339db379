"""Result files: rows survive kills, headers are kept, and a dead process loses its claims."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from scoreinv.evaluation.rows import ResultFile, claim_settings, place_of
from scoreinv.evaluation.subset import Subset

ROWS = [{"method": "tv", "psnr": "30.1"}, {"method": "dpir", "psnr": "32"}]
HOLDER = """
import fcntl, sys, time
with open(sys.argv[1], "a+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]))
    print("held", flush=True)
    time.sleep(60)
"""
# Rows for the slices and batch sizes that its arguments name, by a reconstruction that takes a while.
WORKER = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from scoreinv.evaluation import runner
from scoreinv.evaluation.condition import Condition
from scoreinv.operators.base import LinearOperator

path, count, batch_size, methods = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].split(",")
runner.POLL_SECONDS = 0.01

class Slow:
    slices = SimpleNamespace(names=tuple(("sub-1", 0, i) for i in range(0, 41, 41 // count)))
    def __call__(self, pairs):
        time.sleep(0.01)
        return runner.Outcome(*(np.arange(len(pairs)) for _ in range(5))), 0.01

operator = LinearOperator(np.ones((2, 2)), None)
conditions = [Condition({"method": m}, m, {}, 1, batch_size, operator, None, 0.0, 0) for m in methods]
print("ready", flush=True)
sys.stdin.readline()
rows = runner.run(path, conditions, Slow(), "working")
assert [row["slice"] for row in rows] == [str(name[2]) for _ in methods for name in Slow.slices.names]
"""


def hold(path, identity):
    """A process that has claimed one row."""
    place = str(place_of(identity))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path.with_suffix(".claims")), place], stdout=subprocess.PIPE
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
    process = hold(tmp_path / "rows.csv", ("tv", "3"))
    with file.claims() as claims:
        with claims.claim([("tv", "2"), ("tv", "3")]) as mine:
            assert mine == [True, False]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with claims.claim([("tv", "3")]) as mine:
            assert mine == [True]


def test_processes_with_other_slices_batches_and_methods_double_no_row(tmp_path):
    path = tmp_path / "evaluate.csv"
    asked = [("41", "4", "tv,dpir"), ("11", "3", "tv"), ("11", "1", "dpir,tv")]
    command = [sys.executable, "-c", WORKER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, *arguments], **pipes) for arguments in asked]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n", worker.communicate()
    for worker in workers:  # all at once, when each has loaded
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate()
        assert worker.returncode == 0, errors
    rows = [(row["method"], row["slice"]) for row in ResultFile(path, path.open().readline().strip().split(",")).rows()]
    assert sorted(rows) == sorted((method, str(i)) for method in ("dpir", "tv") for i in range(41))


def test_results_of_other_settings_are_refused_and_new_settings_are_noted(tmp_path):
    path = tmp_path / "settings.json"
    first, other = (Subset(np.full((1, 4, 4, 1), value), (("sub-1", 0, 3),), 1).means() for value in (0.0, 0.5))
    claim_settings(path, {"seed": 0, "views": (23,)} | first)
    with pytest.raises(ValueError, match=r"the mean of slice 3 of sub-1, volume 0, was 0\.0, is 0\.5"):
        claim_settings(path, other)
    claim_settings(path, {"seed": 0, "views": [23], "methods.dds.steps": 20})
    with pytest.raises(ValueError, match=r"holds results of another run \(methods.dds.steps was 20, is 40\)"):
        claim_settings(path, {"seed": 0, "methods.dds.steps": 40})
