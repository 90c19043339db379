"""Checks the jaxtyping signatures of pure functions at run time, and lets the tests share compiled programs."""

import atexit
import gc
import importlib.util
import mmap
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from absl import logging
from jaxtyping import install_import_hook

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Before JAX loads, and in the environment, so that the programs that tests start share it too.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="scoreinv-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

# Workers share it: a program that one of them reads half-written is compiled once more. JAX keeps none that took less
# than a second by itself; most here do.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

# A shell that starts the tests in the background has them ignore Ctrl-C, which tests send and children inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Not the pytrees (sde, operators, prior): JAX builds those with placeholders for their arrays.
ROOMS = ("samplers", "baselines", "training.losses", "evaluation", "datasets", "formats", "scans", "simulation")
install_import_hook([f"scoreinv.{room}" for room in ROOMS], "beartype.beartype")


def pytest_configure(config):
    """Small programs that run once are compiled without optimisation; the slow tests run as a user's programs do."""
    if config.option.markexpr == "not slow":
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # JAX reads it when it loads
        if xla_knows("xla_cpu_use_fusion_emitters"):  # it ends a program that gives it a flag it does not know
            os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")  # they take most of a compilation


def xla_knows(flag):
    """Whether the library of the installed JAX holds the name of a flag."""
    folder = Path(importlib.util.find_spec("jaxlib").submodule_search_locations[0])
    for library in folder.glob("libjax_common*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return text.find(flag.encode()) >= 0
    return False


def pytest_collection_finish():
    """What the tests' modules have loaded stays: collections of garbage need not go through it, nor come so often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def verbosity():
    """A command that a test runs may change how much is logged; the next test finds it as it was."""
    before = logging.get_verbosity()
    yield
    logging.set_verbosity(before)


@pytest.fixture(scope="session")
def fast_folder(tmp_path_factory):
    """Volumes of phantoms and untrained networks, as `experiments.fast.shrink` writes and uses them."""
    from configs import default
    from experiments.fast import shrink

    folder = tmp_path_factory.mktemp("fast")
    shrink(default.get_config(), folder)
    return folder
