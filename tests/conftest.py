"""Checks the jaxtyping signatures of pure functions at run time, and lets the tests share compiled programs."""

import atexit
import gc
import os
import shutil
import signal
import tempfile

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


def pytest_collection_finish():
    """What the tests' modules have loaded stays: collections of garbage need not go through it."""
    gc.freeze()


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
