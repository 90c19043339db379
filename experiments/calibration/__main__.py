"""Do the error bars hold? Coverage of posterior samples on test subjects, before and after a conformal correction.

python -m experiments.calibration --mri=brain.npz --ct=body.npz
python -m experiments.calibration --fast

Draws samples of every slice (kept in the work directory; the command continues where it was stopped), fits the half
width of 90 % intervals on validation subjects and applies it to test subjects. Writes calibration.json, calibration.md
and reliability.png.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from experiments.fast import shrink
from experiments.small import body, brain
from scoreinv import build
from scoreinv.build.comparison import choose_slices, fitting_prior
from scoreinv.evaluation import uncertainty
from scoreinv.evaluation.tables import markdown
from scoreinv.formats.files import write_atomically
from scoreinv.operators.base import LinearOperator, block_mean, forward_model, simulate

SPLITS = ("validation", "test")
LEVELS = (0.25, 0.5, 0.75)
# A method that comes near the posterior in the table of tests/samplers, at one network call a step.
SAMPLER = {"method": "diffpir", "settings": "zeta=1.0", "sigma_max": 1.0, "calls": 40}


def configuration(anatomy: str, source: str, slices: int, samples: int):
    """The small experiment of an anatomy: 4x MRI, or CT from 23 views."""
    config = brain() if anatomy == "mri" else body()
    config.operator.update({"acceleration": (4.0,), "views": (23,)})
    config.sampler.update(SAMPLER | {"samples": samples})
    config.evaluate.slices = slices
    config.data.update({"folders": (source,)} if Path(source).is_dir() else {"packed": source})
    return config


def draw(config, folder: Path) -> dict[str, list[Path]]:
    """Split -> one npz file for each slice: `truth`, `samples` [K, H, W, C], `subject`; those that exist are kept."""
    shape = (config.data.size, config.data.size, 1)
    prior = fitting_prior(config, shape)
    (_, operator), *_ = build.operators(config.operator, shape, jax.random.key(config.seed))
    oversample = config.operator.oversample
    model = forward_model(operator.transform, oversample)
    make, settings = build.sampler(config.sampler)
    count, batch = config.sampler.samples, build.draws_at_once(config.sampler.batch_size, shape)

    @jax.jit
    def samples_of(prior, key, image):
        noise_key, key = jax.random.split(key)
        measured = simulate(noise_key, LinearOperator(operator.mask, model), image, config.operator.noise_std)
        measurement = measured._replace(operator=operator)
        return uncertainty.draw(make(prior, settings), key, measurement, count, batch)

    paths: dict[str, list[Path]] = {}
    for split in SPLITS:
        slices = choose_slices(config, split, config.evaluate.slices)
        paths[split] = [folder / f"{split}-{i}.npz" for i in range(len(slices.names))]
        for i, path in enumerate(tqdm(paths[split], desc=f"{folder.name}, {split}", unit="slice")):
            if not path.exists():
                image = jnp.asarray(slices.images[i])
                key = jax.random.fold_in(jax.random.key(config.seed), 2 * i + SPLITS.index(split))
                found = {"samples": samples_of(prior, key, image), "truth": block_mean(image, oversample)}
                found["subject"] = np.array(slices.names[i][0])
                write_atomically(path, lambda p, found=found: np.savez_compressed(p, **found))
    return paths


def read(path: Path):
    """(truth, samples, subject, region) of a slice."""
    with np.load(path, allow_pickle=False) as file:
        truth, samples, subject = jnp.asarray(file["truth"]), jnp.asarray(file["samples"]), str(file["subject"])
    return truth, samples, subject, uncertainty.object_region(truth)


def scores(paths: list[Path]) -> dict[str, list[np.ndarray]]:
    """|z| of the object's pixels of each slice, by subject."""
    found: dict[str, list[np.ndarray]] = {}
    for path in paths:
        truth, samples, subject, region = read(path)
        maps = uncertainty.maps(samples)
        z = uncertainty.z_scores(truth, maps.mean, maps.std, region, len(samples))
        found.setdefault(subject, []).append(np.abs(z))
    return found


def report(validation: list[Path], test: list[Path]) -> dict:
    """Means over test subjects of the calibration as sampled, and the coverage of corrected 90 % intervals."""
    half_width = uncertainty.conformal_half_width([np.concatenate(s) for s in scores(validation).values()])
    slices = [read(path) for path in test]
    rows = [uncertainty.calibration(truth, samples, region, LEVELS) for truth, samples, _, region in slices]
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "reliability"}
    subjects = [np.concatenate(s) for s in scores(test).values()]
    gaussian = 1.6448536  # of a 90 % interval
    return means | {
        "reliability": {str(level): float(np.mean([r["reliability"][str(level)] for r in rows])) for level in LEVELS},
        "coverage_90_before": float(np.mean([uncertainty.coverage(z, gaussian) for z in subjects])),
        "half_width": half_width,
        "coverage_90_after": float(np.mean([uncertainty.coverage(z, half_width) for z in subjects])),
        "validation_slices": len(validation),
        "validation_subjects": len(scores(validation)),
        "test_slices": len(test),
        "test_subjects": len(subjects),
    }


def figure(reports: dict[str, dict]) -> Figure:
    """Observed against nominal coverage; below the diagonal the samples are too sure."""
    drawing = Figure(figsize=(4, 4), dpi=150, layout="constrained")
    axes = drawing.subplots()
    axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8)
    for anatomy, found in reports.items():
        axes.plot(LEVELS, list(found["reliability"].values()), "o-", label=f"{anatomy}, as sampled", markersize=4)
        axes.plot([0.9], [found["coverage_90_after"]], "s", label=f"{anatomy}, corrected", markersize=5)
    axes.set(xlabel="nominal coverage", ylabel="observed coverage", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(fontsize=7, frameon=False)
    return drawing


def table(reports: dict[str, dict]) -> str:
    """The reports as Markdown, a column for each."""
    names = [name for name in next(iter(reports.values())) if name != "reliability"]
    cells = [[name.replace("_", " "), *(f"{found[name]:.4g}" for found in reports.values())] for name in names]
    return markdown([["", *reports], *cells])


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mri", default="", help="MRI data: a packed file of --mode=prepare, or a folder of volumes")
    parser.add_argument("--ct", default="", help="CT data: the same")
    parser.add_argument("--slices", type=int, default=8, help="of each split, spread over its subjects")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--fast", action="store_true", help="phantoms and an untrained network: seconds, no meaning")
    parser.add_argument("--workdir", type=Path, default=Path("runs/calibration"))
    options = parser.parse_args(argv)
    sources = {"mri": options.mri, "ct": options.ct}
    reports = {}
    try:
        for anatomy in [name for name, source in sources.items() if source or options.fast]:
            config = configuration(anatomy, sources[anatomy], options.slices, options.samples)
            config = shrink(config, options.workdir / "fast") if options.fast else config
            paths = draw(config, options.workdir / anatomy)
            reports[anatomy] = report(paths["validation"], paths["test"])
        if not reports:
            raise ValueError("no data: give --mri or --ct, a packed file or a folder of volumes, or --fast")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; finished slices are kept, call the same command again to continue")
    text = json.dumps(reports, indent=1) + "\n"
    write_atomically(options.workdir / "calibration.json", lambda path: path.write_text(text))
    write_atomically(options.workdir / "calibration.md", lambda path: path.write_text(table(reports)))
    write_atomically(options.workdir / "reliability.png", partial(Figure.savefig, figure(reports)))
    print(table(reports))


if __name__ == "__main__":
    main()
