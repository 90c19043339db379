"""A real raw scan of 8 coils, undersampled afterwards: zero-filled, SENSE, wavelets, total variation and the prior.

python -m experiments.real_mri --scan=full.cfl

Of the fully sampled k-space every fourth, sixth and eighth column and 24 about the zero frequency are left.
Sensitivities (ESPIRiT) and noise level come from what is left. What is compared is the magnitude, with the coil images
of all of k-space combined by the same sensitivities; the scan's noise is in that image. Baselines have the best of
their weights, chosen on the same image; the prior's method has its defaults. Writes results.csv, results.md and
results.png; the command continues where it was stopped.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from configs import mri_demo
from scoreinv import build
from scoreinv.baselines.cgls import cgls
from scoreinv.baselines.direct import direct
from scoreinv.baselines.tv import tv
from scoreinv.baselines.wavelet import wavelet
from scoreinv.build.scans import retrospective_scans
from scoreinv.evaluation import metrics
from scoreinv.operators.mri import fft2c
from scoreinv.prior import padded
from scoreinv.scans.scan import Scan

FACTORS = (4, 6, 8)
CENTRE = 24
COLUMNS = ("factor", "lines", "method", "weight", "psnr", "ssim", "seconds")
WEIGHTS = (1e-3, 3e-3, 1e-2)


def configuration(factor: int, columns: int, samples: int):
    """Every `factor`-th column and the centre; the demo's sampler."""
    config = mri_demo.get_config()
    config.scan.retrospective = True
    config.operator.center_fraction = CENTRE / columns
    # The operator counts all measured columns; the acceleration that spaces the outer ones by the factor.
    config.operator.acceleration = (columns / ((columns - CENTRE) / factor + CENTRE),)
    config.sampler.samples = samples
    return config


def timed(run, *arguments):
    """(result, seconds) of a jitted function, its compilation left out."""
    compiled = run.lower(*arguments).compile()
    started = time.perf_counter()
    result = jax.block_until_ready(compiled(*arguments))
    return result, time.perf_counter() - started


def by_sigpy(scan: Scan, weight: float):
    """sigpy's L1-wavelet reconstruction of the same data with the same sensitivities."""
    from sigpy.mri.app import L1WaveletRecon

    measurement = scan.measurement
    transform = measurement.operator.transform
    maps = np.asarray(transform.coils)
    kspace = fft2c(measurement.y, tuple({-2, -1} - set(transform.axes)))
    started = time.perf_counter()
    mask = np.broadcast_to(np.asarray(measurement.operator.mask), maps.shape[1:])
    app = L1WaveletRecon(np.asarray(kspace), maps, weight, weights=mask, max_iter=60, show_pbar=False)
    image = app.run()
    return jnp.stack([image.real, image.imag], -1).astype(jnp.float32), time.perf_counter() - started


def prior_method(config, scan: Scan):
    """The mean of the draws of the sampler of a configuration."""
    prior = build.fit_channels(padded(build.load_prior(config.prior)), 2, config.sampler.complex_prior)
    make, settings = build.sampler(config.sampler)
    keys = jax.random.split(jax.random.key(config.seed), config.sampler.samples)

    @jax.jit
    def draw(prior, settings, measurement, keys):
        return jax.vmap(lambda key: make(prior, settings)(key, measurement))(keys).mean(0)

    return timed(draw, prior, settings, scan.measurement, keys)


def methods(config) -> dict[str, tuple[tuple[float, ...], Callable]]:
    """Name -> (weights, (scan, weight) -> (image, seconds))."""

    def of(make: Callable) -> Callable:
        run = jax.jit(lambda weight, measurement: make(weight)(jax.random.key(0), measurement))
        return lambda scan, weight: timed(run, jnp.float32(weight), scan.measurement)

    return {
        "zero-filled": ((0.0,), of(lambda weight: direct())),
        "SENSE, 5 steps": ((0.0,), of(lambda weight: cgls(iterations=5))),
        "SENSE, 15 steps": ((0.0,), of(lambda weight: cgls(iterations=15))),
        "L1-wavelet": (WEIGHTS, of(lambda weight: wavelet(lam=weight, iterations=100))),
        "L1-wavelet, sigpy": (WEIGHTS, by_sigpy),
        "TV": (WEIGHTS, of(lambda weight: tv(lam=weight, iterations=100))),
        "scoreinv": ((0.0,), lambda scan, weight: prior_method(config, scan)),
    }


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing in the work directory and writes table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", required=True, help="fully sampled k-space, any file that a measurement may be")
    parser.add_argument("--workdir", default="runs/real_mri")
    parser.add_argument("--samples", type=int, default=2)
    flags = parser.parse_args(arguments)
    folder = Path(flags.workdir)
    folder.mkdir(parents=True, exist_ok=True)
    for factor in FACTORS:
        run_factor(factor, Path(flags.scan), folder, flags.samples)
    rows = best(read_rows(folder / "rows.csv"))
    (folder / "results.md").write_text(table(rows))
    figure(folder, rows).savefig(folder / "results.png", dpi=110)
    print(table(rows))


def run_factor(factor: int, path: Path, folder: Path, samples: int) -> None:
    """Every method at one factor, each row and image written when it is done."""
    columns = build_columns(path)
    config = configuration(factor, columns, samples)
    ((scan, truth),) = retrospective_scans(path, config)
    lines = int(np.asarray(scan.measurement.operator.mask)[0].sum())
    np.save(folder / f"{factor}-truth.npy", np.asarray(metrics.magnitude(truth)))
    done = {(row["factor"], row["method"], row["weight"]) for row in read_rows(folder / "rows.csv")}
    for name, (weights, run) in methods(config).items():
        for weight in weights:
            if (str(factor), name, f"{weight:g}") in done:
                continue
            image, seconds = run(scan, weight)
            scores = float(metrics.psnr(image, truth)), float(metrics.ssim(image, truth))
            row = (factor, lines, name, f"{weight:g}", f"{scores[0]:.2f}", f"{scores[1]:.4f}", f"{seconds:.2f}")
            print(*row, flush=True)
            np.save(folder / f"{factor}-{name}-{weight:g}.npy", np.asarray(metrics.magnitude(image)))
            with (folder / "rows.csv").open("a", newline="") as file:
                csv.writer(file).writerow(row)


def build_columns(path: Path) -> int:
    """Columns of the scan's k-space."""
    from scoreinv.build.scans import read_file

    return read_file(path, mri_demo.get_config())["kspace"].shape[-1]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows written so far."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(file)]


def best(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Of each method and factor the weight of the highest PSNR."""
    chosen: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        key = row["factor"], row["method"]
        if key not in chosen or float(row["psnr"]) > float(chosen[key]["psnr"]):
            chosen[key] = row
    return list(chosen.values())


def table(rows: list[dict[str, str]]) -> str:
    """PSNR, SSIM and seconds of every method, a column for each factor."""
    factors = list(dict.fromkeys(row["factor"] for row in rows))
    head = [f"every {f}th, {next(r['lines'] for r in rows if r['factor'] == f)} lines" for f in factors]
    lines = ["| |" + "|".join(head) + "|", "|---|" + "---|" * len(factors)]
    for name in dict.fromkeys(row["method"] for row in rows):
        cells = [next((r for r in rows if r["method"] == name and r["factor"] == f), None) for f in factors]
        texts = [f"{c['psnr']} / {float(c['ssim']):.3f} / {float(c['seconds']):.1f} s" if c else "" for c in cells]
        lines.append(f"| {name} |" + "|".join(texts) + "|")
    return "\n".join(lines) + "\n"


def figure(folder: Path, rows: list[dict[str, str]]) -> Figure:
    """The images of every method, a row for each factor."""
    shown = []
    for factor in FACTORS:
        images = {"all of k-space": np.load(folder / f"{factor}-truth.npy")}
        for row in rows:
            if row["factor"] == str(factor):
                path = folder / f"{factor}-{row['method']}-{row['weight']}.npy"
                images[f"{row['method']}\n{row['psnr']} dB"] = np.load(path)
        shown.append(images)
    return figure_of(shown)


def figure_of(rows: list[dict[str, np.ndarray]]) -> Figure:
    """Rows of magnitude images by caption."""
    drawn = Figure(figsize=(2.2 * max(map(len, rows)), 2.9 * len(rows)), layout="constrained")
    for panels, images in zip(drawn.subplots(len(rows), max(map(len, rows)), squeeze=False), rows, strict=True):
        for axis in panels:
            axis.axis("off")
        for axis, (caption, image) in zip(panels, images.items(), strict=False):
            axis.imshow(image, cmap="gray", vmin=0, vmax=0.9)
            axis.set_title(caption, fontsize=8)
    return drawn


if __name__ == "__main__":
    main()
