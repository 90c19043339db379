"""What each further slice of a volume costs beside a single image of its own.

python -m experiments.volumes.cost --scan=scan.nii.gz --first=80 --few=4 --many=12 --calls=10

In one process, after a run that compiles: seconds of wall clock and of processor for each slice, peak of memory.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import scoreinv
from configs import mri_demo
from scoreinv.build.volume_tasks import volume_task
from scoreinv.drivers.reconstruct_volume import reconstruct_volume


def configuration(flags: argparse.Namespace, count: int):
    """So many slices at 4x, one draw each."""
    config = mri_demo.get_config()
    config.images, config.slices = (flags.scan,), f"{flags.first}:{flags.first + count}"
    config.operator.acceleration = (4.0,)
    config.sampler.update({"steps": flags.calls - 1, "samples": 1})
    config.interval.draws = 0
    return config


def seconds(run: Callable[[], Any]) -> np.ndarray:
    """(wall clock, processor) of a call."""
    before = np.array([time.perf_counter(), time.process_time()])
    run()
    return np.array([time.perf_counter(), time.process_time()]) - before


def main(arguments: list[str] | None = None) -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", required=True, help="an image volume")
    for name, value in {"first": 0, "few": 4, "many": 12, "calls": 10}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    flags = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        counts = (1, flags.few, flags.many)
        runs = [seconds(lambda n=n: reconstruct_volume(configuration(flags, n), Path(folder, str(n)))) for n in counts]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    prior, task = volume_task(configuration(flags, flags.many))

    def single(position: int) -> None:
        about = {"steps": flags.calls - 1, "interval": {"draws": 0}}
        scoreinv.reconstruct(task.measured(position)[0], prior, samples=1, **about)

    single(0)
    alone = seconds(lambda: [single(i) for i in range(flags.few, flags.many)]) / (flags.many - flags.few)
    further = (runs[2] - runs[1]) / (flags.many - flags.few)
    for name, slice_, one in zip(("wall clock", "processor"), further, alone, strict=True):
        print(f"{name}: {slice_:.2f} s for each further slice, {one:.2f} s for an image by itself")
    print(f"peak of memory with {flags.many} slices: {memory:.2f} GiB")


if __name__ == "__main__":
    main()
