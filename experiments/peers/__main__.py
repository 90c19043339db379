"""The same prior and the same measurements in the samplers of another package, deepinv, beside ours.

python -m experiments.peers --mri=brain.npz --ct=body.npz
python -m experiments.peers --fast

Needs `pip install 'scoreinv[peers]'`. Writes a row for each slice, summaries and tables as `experiments.run` does, and
continues where it was stopped.
"""

import argparse
import sys
import time
import zlib
from pathlib import Path

from absl import logging
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.fast import shrink
from experiments.small import body, brain
from experiments.tables import write_tables
from scoreinv.build.comparison import choose_slices, fitting_prior, region
from scoreinv.build.plan import method_conditions
from scoreinv.drivers.evaluate import write_summary
from scoreinv.evaluation import metrics
from scoreinv.evaluation.condition import Condition
from scoreinv.evaluation.rows import ResultFile
from scoreinv.evaluation.runner import METRICS, SLICE, Runner, columns_of, run
from scoreinv.evaluation.tables import frame, labels_of, summarize

# deepinv's own numbers of steps; DPS in the small form with fewer.
STEPS = {"deepinv_ddrm": 100, "deepinv_diffpir": 100, "deepinv_dps": 1000}
SMALL = STEPS | {"deepinv_dps": 300}
OURS = ("tv", "dps", "diffpir", "one_draw")


def configurations(mri: str, ct: str, slices: int, steps: dict[str, int]) -> dict[str, ConfigDict]:
    """4x MRI and CT from 23 views, as in the small tables; our DPS and DiffPIR with as many steps as theirs."""
    sources = {"mri-4x": (brain, mri), "ct-23-views": (body, ct)}
    chosen = {}
    for name, (anatomy, source) in sources.items():
        if source:
            chosen[name] = config = anatomy()
            config.evaluate.update({"slices": slices, "methods": OURS})
            noise = {"grid": "karras", "start": "zero", "sigma_min": 0.005, "sigma_max": 10.0, "samples": 1}
            for method in ("dps", "diffpir"):
                config.methods[method] = {"steps": steps[f"deepinv_{method}"], **noise}
            config.data.update({"folders": (source,)} if Path(source).is_dir() else {"packed": source})
    return chosen


def compare(config, folder: Path, steps: dict[str, int]) -> None:
    """Completes the rows of one part and writes its summary."""
    from experiments.peers.deepinv_methods import PEERS

    shape = (config.data.size, config.data.size, 1)
    slices = choose_slices(config, config.evaluate.split, config.evaluate.slices)
    runner = Runner(fitting_prior(config, shape), slices, region(config.evaluate.region), config.seed)
    conditions = method_conditions(config, shape)
    rows = run(folder / "evaluate.csv", conditions, runner, "ours")
    file = ResultFile(folder / "evaluate.csv", columns_of(conditions))
    names = [name for name in PEERS if name in steps and (name != "deepinv_ddrm" or config.operator.modality == "mri")]
    for name in names:
        rows += [
            peer_row(file, conditions[0], runner, index, name, steps[name])
            for index in tqdm(range(len(slices.names)), desc=name, unit="image")
        ]
    found = frame(rows)
    write_summary(folder, summarize(found, "tv"), labels_of(found))


def peer_row(file: ResultFile, condition: Condition, runner: Runner, index: int, name: str, steps: int):
    """The row of a slice by a method of deepinv, made where it is not there."""
    from experiments.peers.deepinv_methods import PEERS

    labels = condition.labels | {"method": name} | dict(zip(SLICE, map(str, runner.slices.names[index]), strict=True))
    for row in file.rows():
        if labels.items() <= row.items():
            return row
    measurement, truth = runner.measurement(condition, index)
    started = time.perf_counter()
    seed = zlib.crc32("/".join(labels.values()).encode())
    drawn = PEERS[name](runner.prior, measurement, seed, steps)
    seconds = time.perf_counter() - started
    scores = {metric: f"{getattr(metrics, metric)(drawn.image, truth, runner.region):.6g}" for metric in METRICS}
    row = labels | scores | {"network_calls": str(drawn.calls), "seconds": f"{seconds:.4g}"}
    file.append([row])
    return row


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mri", default="", help="MRI data: what --mode=prepare wrote, or a folder of volumes")
    parser.add_argument("--ct", default="", help="CT data: what --mode=prepare wrote, or a folder of volumes")
    parser.add_argument("--slices", type=int, default=8, help="test slices, spread over the subjects")
    parser.add_argument("--scale", choices=("small", "paper"), default="small", help="DPS with 300 or its 1000 steps")
    parser.add_argument("--fast", action="store_true", help="phantoms and an untrained network: seconds, no meaning")
    parser.add_argument("--workdir", type=Path, default=None, help="results; default: runs/peers")
    options = parser.parse_args(argv)
    workdir = options.workdir or Path("runs/peers-fast" if options.fast else "runs/peers")
    logging.set_verbosity(logging.INFO)
    try:
        steps = STEPS if options.scale == "paper" else SMALL
        if options.fast:
            steps = dict.fromkeys(steps, 3)
            parts = configurations("phantoms", "phantoms", 2, steps)
            parts = {name: shrink(config, workdir / "fast") for name, config in parts.items()}
            for config in parts.values():
                config.data.packed = ""
        else:
            parts = configurations(options.mri, options.ct, options.slices, steps)
        if not parts:
            raise ValueError("nothing to compare; give --mri or --ct")
        for name, config in parts.items():
            compare(config, workdir / name, steps)
        write_tables(workdir)
    except ImportError as error:
        sys.exit(f"error: {error}; pip install 'scoreinv[peers]'")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
