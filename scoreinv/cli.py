"""Reconstructs medical images with score-based priors: `scoreinv [--mode=...] [--config=...] [--config.x=y]`.

The command `scoreinv`, which `python main.py` is too. Whatever goes wrong ends with one line and a status other than 0.
"""

import errno
import importlib.util
import os
import re
import signal
import sys
import threading
import traceback
from logging import LogRecord
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from scoreinv.build.checks import check_config, check_overrides, help_text
from scoreinv.build.field import MODES

LONGEST_LINE = 500
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

config_flag = config_flags.DEFINE_config_file(
    "config",
    None,
    "Configuration: a file, or a name such as mri_demo; --config.field=value overrides a field. Without it: the demo, "
    "or the defaults where fields are overridden.",
)
mode_flag = flags.DEFINE_enum("mode", "reconstruct", MODES, "What to do.")
workdir_flag = flags.DEFINE_string("workdir", "", "Directory for results; default: runs/<name of the configuration>.")
fields_flag = flags.DEFINE_bool("help-fields", False, "Print every field of a configuration and end.")
coordinator_flag = flags.DEFINE_string(
    "coordinator_address", "", "Several processes: host:port of process 0. SLURM, Open MPI and TPU pods need no flags."
)
processes_flag = flags.DEFINE_integer("num_processes", 0, "Several processes: how many.")
process_flag = flags.DEFINE_integer("process_id", -1, "Several processes: number of this one.")
OWN_FLAGS = ("config", "mode", "workdir", "help-fields", "coordinator_address", "num_processes", "process_id")


def main() -> None:
    """The entry point of the command."""
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(is_worth_reading)
    handle_signals()
    try:
        app.run(run, flags_parser=parse_flags)
    except KeyboardInterrupt as interrupt:
        leave(str(interrupt) or "interrupted; finished results are kept")


def leave(message: str) -> NoReturn:
    """Ends with a message and status 1, at once: Python's own way out crashes where JAX is at work in other threads.

    A training has waited for what it saves, and leaves the other processes in order.
    """
    if flags.FLAGS.is_parsed() and mode_flag.value == "train":
        sys.exit(message)
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)


def run(argv: list[str]) -> None:
    """Runs one mode; a mistake ends it with one line and exit status 1."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}; options are written --name=value")
    flag, mode = flags.FLAGS["config"], mode_flag.value
    workdir = Path(workdir_flag.value or Path("runs") / Path(config_flags.get_config_filename(flag)).stem)
    # JAX loads after the flags are parsed, so that --help and a mistyped flag answer at once.
    from scoreinv import compilation_cache, parallel

    try:
        compilation_cache.enable()
        if mode == "train":
            parallel.initialize(coordinator_flag.value, processes_flag.value, process_flag.value)
        elif coordinator_flag.value or processes_flag.value:  # they end when they like, and none waits for the others
            logging.info("mode %s: processes share work through --workdir and need no coordinator", mode)
        check_config(config_flag.value, mode)
        check_overrides(config_flag.value, config_flags.get_override_values(flag), mode)
        drive(mode, config_flag.value, workdir)
    except Exception as error:
        if os.environ.get("SCOREINV_TRACEBACK"):
            raise
        sys.exit(f"error: {one_line(error)}")


def drive(mode: str, config: Any, workdir: Path) -> None:
    """Calls the driver of a mode: the function of its name in the module of its name."""
    driver = getattr(importlib.import_module(f"scoreinv.drivers.{mode}"), mode)
    driver(config, workdir)


def one_line(error: Exception) -> str:
    """What a user reads of an exception: a mistake as it is said; anything else is a bug, and how to see where."""
    text = " ".join(str(error).split())
    if "RESOURCE_EXHAUSTED" in text or isinstance(error, MemoryError):
        text = f"out of memory ({text}); take fewer images at once (batch_size of sampler or train), or smaller ones"
    elif is_full_disk(error, text):
        text = f"the disk is full or fails ({text}); make room or choose another --workdir: the same command continues"
    elif not isinstance(error, ValueError | OSError | FloatingPointError):
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        text = (
            f"a bug in scoreinv, {type(error).__name__} in {place} ({shortened(text, 200)}); SCOREINV_TRACEBACK=1 in "
            "the environment shows where: please report it with that"
        )
    return shortened(text, LONGEST_LINE)


def is_full_disk(error: Exception, text: str) -> bool:
    """Whether a disk is full or fails, as the system says or a library that wraps its words."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return not isinstance(error, ValueError) and any(os.strerror(code) in text for code in FULL)


def shortened(text: str, length: int) -> str:
    """The text without its middle, where it is longer than allowed."""
    return text if len(text) <= length else f"{text[: length // 2]} ... {text[-length // 2 + 5 :]}"


def handle_signals() -> None:
    """Makes SIGTERM end any mode as Ctrl-C does, and an interrupt that Python ignores come again.

    Python prints and drops an exception that a destructor or a callback of garbage collection raises; an early Ctrl-C,
    which falls into the imports, often lands there. What a thread raises is said on one line.
    """

    def stop(number: int, _: Any) -> NoReturn:
        raise KeyboardInterrupt(f"stopped by {signal.Signals(number).name}; finished results are kept")

    def again(ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            number = signal.SIGTERM if str(ignored.exc_value) else signal.SIGINT
            threading.Timer(0.05, signal.raise_signal, [number]).start()
        elif os.environ.get("SCOREINV_TRACEBACK"):  # else what other packages leave behind when they fail
            sys.__unraisablehook__(ignored)

    def in_a_thread(ended: Any) -> None:
        if os.environ.get("SCOREINV_TRACEBACK") or not isinstance(ended.exc_value, Exception):
            threading.__excepthook__(ended)
        else:
            logging.error("a thread ended: %s", one_line(ended.exc_value))

    signal.signal(signal.SIGTERM, stop)
    sys.unraisablehook = again
    threading.excepthook = in_a_thread


def parse_flags(argv: list[str]) -> list[str]:
    """absl's parser, with one line for a mistake."""
    for name in OWN_FLAGS:  # what --help shows first
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    try:
        rest = flags.FLAGS(with_configuration(argv))
        if fields_flag.value:
            print_fields()
        config_flag.value.keys()  # a file that cannot be loaded raises here
        return rest
    except flags.Error as error:
        sys.exit(f"error: {' '.join(str(error).split())}; see --helpshort, and --help-fields for the fields")
    except Exception as error:  # a config file is a program, and ml_collections raises many types for a wrong field
        what = " ".join([*(a for a in argv if a.startswith("--config.")), f"({type(error).__name__}: {error})"])
        line = f"cannot apply the configuration {' '.join(what.split())}; --help-fields lists the fields"
        sys.exit(f"error: {shortened(line, LONGEST_LINE)}")


def print_fields() -> NoReturn:
    """Prints every field and ends; with status 0 too where the reader, as `head`, has seen enough."""
    try:
        print(help_text(), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit()


def with_configuration(argv: list[str]) -> list[str]:
    """The arguments with the configuration's file: the demo or the defaults where none is given, a name's own.

    Overrides without a configuration are meant for the image or the measurement that they name, not for the demo's.
    """
    folder = configurations()
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    place = next((i for i, argument in enumerate(argv) if re.fullmatch(r"--?config(=.*)?", argument)), None)
    if place is None:
        overridden = any(re.match(r"--?config\.(?!parts\.)", argument) for argument in argv)
        reading = any(re.fullmatch(r"--?mode=(?!reconstruct|evaluate|sweep).*", argument) for argument in argv)
        # Not the flag's own default: overrides of that are read where the flag is defined, outside of `parse_flags`.
        return [argv[0], f"--config={folder / ('default.py' if overridden or reading else 'demo.py')}", *argv[1:]]
    head, value, tail = argv[:place], argv[place].partition("=")[2], argv[place + 1 :]
    if "=" not in argv[place] and tail:
        value, *tail = tail
    if value in names and not Path(value).is_file():
        value = str(folder / f"{value}.py")
    elif not Path(value.partition(":")[0]).is_file():
        raise flags.IllegalFlagValueError(
            f"there is no configuration file {value!r}; give one, or a name: {', '.join(names)}"
        )
    return [*head, f"--config={value}", *tail]


def configurations() -> Path:
    """The folder of configurations, in the package or beside it in a clone; `from configs import ...` then means it."""
    inside = importlib.util.find_spec("scoreinv.configs")
    module: ModuleType = importlib.import_module("scoreinv.configs" if inside else "configs")
    sys.modules["configs"] = module
    return Path(next(iter(module.__path__)))


def is_worth_reading(record: LogRecord) -> bool:
    """Leaves out the running commentary of other packages (orbax, JAX, tensorflow-datasets) and their tracebacks.

    A warning of theirs stays, on one line: what it means for the run, the last line says.
    """
    if record.pathname.startswith(str(Path(__file__).parent)):
        return True
    if not os.environ.get("SCOREINV_TRACEBACK"):
        record.msg, record.args = shortened(" ".join(record.getMessage().split()), LONGEST_LINE), ()
        record.exc_info = record.exc_text = None
    return record.levelname != "INFO"
