"""Reconstructs medical images with score-based priors: `python main.py [--mode=...] [--config=...] [--config.x=y]`."""

import importlib.util
import os
import re
import sys
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

HERE = Path(__file__).resolve().parent
MODES = ("reconstruct", "prepare", "train", "unroll", "evaluate", "sweep", "tune")

config_flag = config_flags.DEFINE_config_file(
    "config", None, "Configuration file (default: configs/demo.py); --config.field=value overrides a field."
)
mode_flag = flags.DEFINE_enum("mode", "reconstruct", MODES, "What to do.")
workdir_flag = flags.DEFINE_string("workdir", "", "Directory for results; default: runs/<name of the config file>.")
coordinator_flag = flags.DEFINE_string(
    "coordinator_address", "", "Several processes: host:port of process 0. SLURM, Open MPI and TPU pods need no flags."
)
processes_flag = flags.DEFINE_integer("num_processes", 0, "Several processes: how many.")
process_flag = flags.DEFINE_integer("process_id", -1, "Several processes: number of this one.")


def parse_flags(argv: list[str]) -> list[str]:
    """absl's parser, with one line for a mistake."""
    if not any(re.fullmatch(r"--?config(=.*)?", argument) for argument in argv):
        # Not the flag's own default: overrides of that are read where the flag is defined, outside of this function.
        argv = [argv[0], f"--config={HERE / 'configs' / 'demo.py'}", *argv[1:]]
    try:
        rest = flags.FLAGS(argv)
        config_flag.value.keys()  # a file that cannot be loaded raises here
        return rest
    except flags.Error as error:
        sys.exit(f"error: {' '.join(str(error).split())}; see --helpshort, and configs/default.py for the fields")
    except Exception as error:  # a config file is a program, and ml_collections raises many types for a wrong field
        what = " ".join([*(a for a in argv if a.startswith("--config.")), f"({type(error).__name__}: {error})"])
        sys.exit(f"error: cannot apply the configuration {' '.join(what.split())}; configs/default.py lists the fields")


def run(mode: str, config, workdir: Path) -> None:
    """Calls the driver of a mode: the function of its name in the module of its name."""
    driver = getattr(importlib.import_module(f"scoreinv.drivers.{mode}"), mode)
    if mode == "tune":
        from configs import default

        driver(config, workdir, default.get_config())  # best.py holds what differs from them
    else:
        driver(config, workdir)


def main(argv: list[str]) -> None:
    """Runs one mode; a user's mistake ends it with one line and exit status 1."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}; options are written --name=value")
    config_name = Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    workdir = Path(workdir_flag.value or Path("runs") / config_name)
    # JAX loads after the flags are parsed, so that --help and a mistyped flag answer at once.
    from scoreinv import compilation_cache, parallel

    compilation_cache.enable()
    try:
        if mode_flag.value == "train":  # the other modes share work through files: their processes end when they like
            parallel.initialize(coordinator_flag.value, processes_flag.value, process_flag.value)
        run(mode_flag.value, config_flag.value, workdir)
    except (ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("SCOREINV_TRACEBACK"):
            raise
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt as interrupt:
        sys.exit(str(interrupt) or "interrupted; finished results are kept")


def is_worth_reading(record) -> bool:
    """Leaves out the running commentary of other packages (orbax, JAX, tensorflow-datasets), not their warnings."""
    package = importlib.util.find_spec("scoreinv").submodule_search_locations[0]  # type: ignore[union-attr, index]
    return record.levelname != "INFO" or record.pathname.startswith(package)


if __name__ == "__main__":
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(is_worth_reading)
    app.run(main, flags_parser=parse_flags)
