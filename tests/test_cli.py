"""The command line: which configuration it means, what it refuses, and how it ends."""

import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from absl import flags

from scoreinv import cli

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ([], "demo"),
        (["--config.parts.mri.operator.noise_std=0.1"], "demo"),
        (["--config.measurement=scan.npz"], "default"),
        (["--mode=train"], "default"),
        (["--mode=evaluate", "--config.data.packed=slices.npz"], "default"),
        (["--config=mri_demo"], "mri_demo"),
        (["--config", "mri_demo"], "mri_demo"),
        ([f"--config={ROOT}/configs/ct_demo.py"], "ct_demo"),
    ],
    ids=lambda v: " ".join(v)[-40:] if isinstance(v, list) else "",
)
def test_the_configuration_is_the_one_that_is_meant(arguments, file):
    (chosen,) = (a for a in cli.with_configuration(["scoreinv", *arguments]) if a.startswith("--config="))
    assert chosen.endswith(f"configs/{file}.py") and Path(chosen.partition("=")[2]).is_file()


def test_an_unknown_configuration_is_refused_with_the_names():
    with pytest.raises(flags.Error, match=r"no configuration file 'mri'; give one, or a name: ct_demo, default, demo"):
        cli.with_configuration(["scoreinv", "--config=mri"])


def line_of(error, monkeypatch, trace=""):
    """How the command ends when a driver raises `error`."""

    def drive(*arguments):
        raise error

    monkeypatch.setattr(cli, "drive", drive)
    monkeypatch.setattr(cli, "check_config", lambda *arguments: None)
    monkeypatch.setattr(cli, "check_overrides", lambda *arguments: None)
    monkeypatch.setattr(cli.config_flags, "get_config_filename", lambda _: "default.py")
    monkeypatch.setattr(cli.config_flags, "get_override_values", lambda _: {})
    monkeypatch.setenv("SCOREINV_TRACEBACK", trace)
    flags.FLAGS.mark_as_parsed()
    with pytest.raises(SystemExit) as end:
        cli.run(["scoreinv"])
    return end.value.code


def test_a_mistake_is_said_as_it_is_and_anything_else_is_called_a_bug(monkeypatch):
    assert line_of(ValueError("views=0;\ngive more"), monkeypatch) == "error: views=0; give more"
    line = line_of(KeyError("angles"), monkeypatch)
    assert line.startswith("error: a bug in scoreinv, KeyError in test_cli.py:") and "SCOREINV_TRACEBACK=1" in line
    assert "\n" not in line and len(line) < 500
    assert "out of memory" in line_of(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), monkeypatch)
    for full in (OSError(28, "No space left on device", "out.npz"), RuntimeError("write() failed: File too large; x")):
        assert "the disk is full" in line_of(full, monkeypatch)
    assert len(line_of(ValueError("x" * 5000), monkeypatch)) < 600
    with pytest.raises(KeyError):
        line_of(KeyError("angles"), monkeypatch, "1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_early_with_one_line(number, tmp_path):
    (tmp_path / "slow.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, str(ROOT / "main.py"), "--config=slow.py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        err = process.communicate(timeout=20)[1]
    assert process.returncode not in (0, None) and "Traceback" not in err
    assert err.strip().count("\n") == 0 and ("SIGTERM" in err or number == signal.SIGINT)


def test_what_other_packages_log_is_one_line_without_a_traceback(monkeypatch):
    monkeypatch.delenv("SCOREINV_TRACEBACK", raising=False)
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        about = (sys.exc_info(), None)
    theirs = logging.LogRecord(
        "orbax", logging.ERROR, "/site-packages/orbax/x.py", 1, "cannot\nwrite %s", ("a",), *about
    )
    assert cli.is_worth_reading(theirs) and logging.Formatter().format(theirs) == "cannot write a"
    theirs.levelname = "INFO"
    ours = logging.LogRecord("absl", logging.INFO, cli.__file__, 1, "step %d", (3,), None)
    assert not cli.is_worth_reading(theirs) and cli.is_worth_reading(ours)


def test_an_interrupt_that_python_drops_comes_again():
    class Dropping:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGTERM), sys.unraisablehook, threading.excepthook
    cli.handle_signals()
    try:
        with pytest.raises(KeyboardInterrupt):
            del_here = Dropping()
            del del_here  # Python prints and drops what a destructor raises
            time.sleep(5)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        sys.unraisablehook, threading.excepthook = before[1:]


def test_a_reader_that_has_seen_enough_of_the_fields_is_no_mistake():
    command = [sys.executable, str(ROOT / "main.py"), "--help-fields"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, "")
