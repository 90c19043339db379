"""Metal artifact removal by the size of the implant; called again, it continues.

python -m experiments.table3_metal_artifacts.run --ct=volumes
python -m experiments.table3_metal_artifacts.run --ct=volumes --slices=2 --paper --workdir=runs/table3-paper
python -m experiments.table3_metal_artifacts.run --fast
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from absl import logging
from ml_collections import ConfigDict
from tqdm import tqdm

from configs import mar_demo, train_body_ct
from experiments import fast
from scoreinv import build, compilation_cache
from scoreinv.build.comparison import choose_slices, fitting_prior
from scoreinv.build.tasks import Task
from scoreinv.drivers import reconstruct
from scoreinv.drivers.evaluate import settings_of
from scoreinv.evaluation import metrics
from scoreinv.evaluation.figures import panel
from scoreinv.evaluation.rows import ResultFile, claim_settings
from scoreinv.evaluation.runner import METRICS
from scoreinv.evaluation.tables import aligned, frame, labels_of, markdown, summarize, table
from scoreinv.formats.files import write_atomically
from scoreinv.operators.mar import remove_metal
from scoreinv.prior import Prior
from scoreinv.scans.scan import Scan

# Three implants in a body 380 mm wide, by what the projection loses to them.
SIZES: dict[str, dict[str, Any]] = {
    "small": {"metal": "disc", "metal_material": "steel", "metal_size": 12.0, "metal_centre": (40.0, 10.0)},
    "medium": {"metal": "screws", "metal_material": "titanium", "metal_size": 60.0, "metal_centre": (0.0, -40.0)},
    "large": {"metal": "hip", "metal_material": "titanium", "metal_size": 60.0, "metal_centre": (-60.0, 0.0)},
}
REFERENCE = "tv"  # as in the other tables; in SSIM ahead of li and nmar at every size
COLUMNS = ("method", "operator", "subject", "volume", "slice", *METRICS, "network_calls", "seconds")


def configuration(size: str, split: str, count: int) -> ConfigDict:
    """The scan of one size of implant, on slices of one split."""
    config = mar_demo.get_config()
    config.operator.update(SIZES[size] | {"field_of_view": 380.0, "views": (180,), "full_views": 180})
    data = train_body_ct.get_config().data
    config.data.update({"size": 128, "intensity": "ct_window", "window": data.window})
    for field in ("subject_pattern", "validation_subjects", "test_subjects"):
        config.data[field] = data[field]
    config.evaluate.update({"split": split, "slices": count})
    config.sampler.samples = 2
    config.interval.draws = 0  # what is compared are images
    return config


def shrink(config: ConfigDict, folder: Path) -> None:
    """Phantoms in Hounsfield units, an untrained network, few views and steps: seconds, and figures without meaning."""
    slices = config.evaluate.slices
    fast.shrink(config, folder)
    config.evaluate.slices = min(slices, config.evaluate.slices)
    for path in (folder / "volumes").glob("*.npy"):
        volume = np.load(path)
        if volume.max() <= 1:
            np.save(path, 2048 * volume - 1024)
    config.data.intensity = "ct_window"
    config.operator.update({"views": (16,), "full_views": 16})
    config.sampler.update({"calls": 0, "steps": 2})
    config.baseline_settings.tv.iterations = 5


def scores(image, truth, metal) -> dict[str, str]:
    """PSNR, SSIM and RMSE with metal pixels zeroed."""
    pair = remove_metal(image, metal), remove_metal(truth, metal)
    return {name: f"{float(getattr(metrics, name)(*pair)):.6g}" for name in METRICS}


def run(config: ConfigDict, size: str, prior: Prior, methods: Mapping[str, Callable], workdir: Path) -> None:
    """Completes the rows of one size of implant, and draws its first slice."""
    slices = choose_slices(config, config.evaluate.split, config.evaluate.slices)
    claim_settings(workdir / f"{size}.json", settings_of(config, prior))
    file = ResultFile(workdir / "evaluate.csv", COLUMNS)
    done = {tuple(row[name] for name in ("operator", "subject", "volume", "slice")) for row in file.rows()}
    ((_, operator),) = build.operators(config.operator, slices.shape, jax.random.key(0))
    measure = build.scanner(config, operator, slices.shape)
    each = len(config.baselines) + config.sampler.samples + len(config.methods)
    with tqdm(total=len(slices.names) * each, desc=size, unit="image") as bar:
        for index, name in enumerate(slices.names):
            labels = {"operator": size, **dict(zip(("subject", "volume", "slice"), map(str, name), strict=True))}
            if tuple(labels.values()) in done:
                bar.update(each)
                continue
            key = jax.random.fold_in(jax.random.key(config.seed), index)
            scan = measure(key, jnp.asarray(slices.images[index]))
            results = {"uncorrected": reconstruct.Result(scan.uncorrected, 0, 0.0)}
            task = Task(Scan(size, scan.measurement))
            results |= {method: reconstruct_one(task, bar) for method, reconstruct_one in methods.items()}
            if not (workdir / f"{size}.png").exists():
                images = {method: result.mean for method, result in results.items()}
                made = results["scoreinv"].made
                std = None if made is None else made.std
                figure = panel(images, scan.truth, std, metal=scan.metal, title=f"{size} implant")
                write_atomically(workdir / f"{size}.png", figure.savefig)
            file.append(
                [
                    {"method": method, **labels, **scores(result.mean, scan.truth, scan.metal)}
                    | {"network_calls": result.network_calls, "seconds": f"{result.seconds:.4g}"}
                    for method, result in results.items()
                ]
            )


def summary(workdir: Path) -> pd.DataFrame:
    """Writes and prints the table of all rows, with what each method gains over TV on the same scans."""
    rows = frame(ResultFile(workdir / "evaluate.csv", COLUMNS).rows())
    cells = table(summarize(rows, REFERENCE), labels_of(rows))
    write_atomically(workdir / "table.md", lambda path: path.write_text(markdown(cells)))
    print(aligned(cells))
    return rows.groupby("method")[list(METRICS)].mean()


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ct", action="append", default=[], help="folder of CT volumes; may be given several times")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--slices", type=int, default=6, help="number of slices, spread over the subjects; 0: all")
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=tuple(SIZES), help="of the implant")
    parser.add_argument("--prior", default="body-ct")
    parser.add_argument("--settings", default="", help='of the sampler, as in "churn=0.3, momentum=0.5"')
    parser.add_argument("--paper", action="store_true", help="adds the paper's own sampler with its 1000 calls")
    parser.add_argument("--fast", action="store_true", help="phantoms and few steps: seconds, no meaning")
    parser.add_argument("--workdir", default="runs/table3_metal_artifacts")
    arguments = parser.parse_args(argv)
    logging.set_verbosity(logging.ERROR)
    workdir = Path(arguments.workdir)
    compilation_cache.enable()
    prior: Prior | None = None
    methods: Mapping[str, Callable] = {}
    try:
        for size in arguments.sizes:
            config = configuration(size, arguments.split, arguments.slices)
            config.prior, config.data.folders = arguments.prior, tuple(arguments.ct)
            config.sampler.settings = arguments.settings or config.sampler.settings
            if arguments.paper:
                config.methods.song2022 = ConfigDict({"preset": "lidc_mar_320", "samples": 1})
            if arguments.fast:
                shrink(config, workdir / "phantoms")
            # One set of methods, so that every size runs the same compiled programs.
            prior = prior or fitting_prior(config, (config.data.size, config.data.size, 1))
            methods = methods or reconstruct.methods_of(config, prior)
            run(config, size, prior, methods, workdir)
        summary(workdir)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; finished slices are kept")


if __name__ == "__main__":
    main()
