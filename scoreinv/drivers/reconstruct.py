"""Reconstruction driver: images or measurements in; table, metrics.json, reconstructions.npz and figures out."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from scoreinv import build, parallel
from scoreinv.build.tasks import Task, make_tasks
from scoreinv.evaluation import metrics
from scoreinv.evaluation.figures import panel
from scoreinv.evaluation.uncertainty import maps
from scoreinv.formats.files import write_atomically
from scoreinv.operators.base import Measurement
from scoreinv.operators.mar import insert_metal, remove_metal
from scoreinv.prior import Prior


class Result(NamedTuple):
    """What one method made of one task: the mean of its draws, and of several also the first and their spread."""

    mean: Float[Array, "H W C"]
    std: Float[Array, "H W C"] | None
    network_calls: int
    seconds: float
    quantiles: Float[Array, "Q H W C"] | None = None
    first: Float[Array, "H W C"] | None = None


def reconstruct(config, workdir: Path) -> list[dict[str, Any]]:
    """Reconstructs every task of a configuration with the baselines and the sampler it names.

    Args:
        config: the whole configuration; `config.parts`, when not empty, holds several to run in turn.
        workdir: receives `metrics.json`, `reconstructions.npz` and one figure `<task>.png` each.

    Returns:
        The rows of `metrics.json`; where the sampler draws several images, `scoreinv` is the first and `scoreinv-mean`
        their mean.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written.
    """
    parts = list(config.parts.values()) or [config]
    runs = [(part, *make_tasks(part)) for part in parts]
    rows: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    figures = []
    total = sum((len(part.baselines) + part.sampler.samples) * len(tasks) for part, _, tasks in runs)
    with tqdm(total=total, desc="reconstructing", unit="image") as bar:
        for part, prior, tasks in runs:
            methods = methods_of(part, prior)
            for task in tasks:
                results = _given(task) | {name: run(task.measurement, bar) for name, run in methods.items()}
                results = _with_one_draw(results, part.sampler.samples)
                rows += [_row(task, name, result) for name, result in results.items()]
                arrays |= _arrays(task, results)
                figures.append((task, results))
    for task, results in figures:
        write_atomically(workdir / f"{task.name}.png", partial(_figure, task, results))
    write_atomically(workdir / "reconstructions.npz", lambda path: np.savez_compressed(path, **arrays))
    write_atomically(workdir / "metrics.json", lambda path: path.write_text(json.dumps(rows, indent=1) + "\n"))
    print(table(rows))
    print(f"figures, reconstructions.npz and metrics.json are in {workdir}")
    return rows


def methods_of(config, prior: Prior) -> dict[str, Callable[[Measurement, tqdm], Result]]:
    """Every method of a configuration as (measurement, progress bar) -> Result."""
    methods: dict[str, Callable[[Measurement, tqdm], Result]] = {}
    for name in config.baselines:
        method = build.baseline(config, name)
        run = compiled_once(lambda measurement, key, method=method: method(key, measurement))
        methods[name] = partial(_run_baseline, run)
    make, settings = build.sampler(config.sampler)

    def draw(shared, key):
        prior, settings, measurement = shared
        return make(prior, settings)(key, measurement)

    methods["scoreinv"] = partial(_run_sampler, config, make, compiled_once(draw), prior, settings)
    return methods


def _given(task: Task) -> dict[str, Result]:
    """The scanner's own image, where the task has one, as if a method had made it."""
    return {} if task.uncorrected is None else {"uncorrected": Result(task.uncorrected, None, 0, 0.0)}


def _with_one_draw(results: dict[str, Result], samples: int) -> dict[str, Result]:
    """The results with the first draw as `scoreinv` and the mean of all as `scoreinv-mean`, where there are several."""
    mean = results["scoreinv"]
    if mean.first is None:
        return results
    one = mean._replace(mean=mean.first, network_calls=mean.network_calls // samples, seconds=mean.seconds / samples)
    return results | {"scoreinv": one, "scoreinv-mean": mean}


def compiled_once(fn: Callable) -> Callable:
    """(shared, *batch) -> (results, seconds without compilation), compiled at the first call of each shape."""
    programs: dict[Any, Callable] = {}

    def run(shared, *batch):
        leaves, structure = jax.tree.flatten((shared, batch))
        signature = (structure, tuple((jnp.shape(x), jnp.result_type(x)) for x in leaves))
        if signature not in programs:
            programs[signature] = parallel.compile_batch(fn, shared, *batch)
        started = time.perf_counter()
        result = jax.block_until_ready(programs[signature](shared, *batch))
        return result, time.perf_counter() - started

    return run


def _run_baseline(run, measurement: Measurement, bar: tqdm) -> Result:
    image, seconds = run(measurement, jax.random.split(jax.random.key(0), 1))
    bar.update()
    return Result(image[0], None, 0, seconds)


def _run_sampler(config, make, run, prior, settings, measurement: Measurement, bar: tqdm) -> Result:
    samples = config.sampler.samples
    size = min(samples, config.sampler.batch_size * jax.local_device_count())
    keys = jax.random.split(jax.random.key(config.seed), -(-samples // size) * size)
    calls = build.network_calls(make, settings)
    drawn, seconds = [], 0.0
    for start in range(0, samples, size):
        images, spent = run((prior, settings, measurement), keys[start : start + size])
        drawn.append(images)
        seconds += spent
        bar.update(min(size, samples - start))
    images = jnp.concatenate(drawn)[:samples]
    if samples == 1:
        return Result(images[0], None, calls, seconds)
    mean, std, quantiles = maps(images, tuple(config.sampler.quantiles))
    return Result(mean, std, calls * samples, seconds, quantiles, images[0])


def _row(task: Task, method: str, result: Result) -> dict[str, Any]:
    """One row of metrics.json; PSNR and SSIM are null where no truth exists."""
    truth = None if task.truth is None else remove_metal(task.truth, task.metal)
    image = remove_metal(result.mean, task.metal)
    return {
        "task": task.name,
        "method": method,
        "psnr": None if truth is None else round(float(metrics.psnr(image, truth)), 4),
        "ssim": None if truth is None else round(float(metrics.ssim(image, truth)), 5),
        "network_calls": result.network_calls,
        "seconds": round(result.seconds, 3),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows of metrics.json as aligned text, the best PSNR and SSIM of each task marked with *."""
    width = max(24, *(len(row["task"]) + 2 for row in rows))
    lines = [f"{'task':<{width}}{'method':<16}{'PSNR':>9}{'SSIM':>9}{'calls':>8}{'seconds':>10}"]
    for row in rows:
        peers = [r for r in rows if r["task"] == row["task"]]
        cells = [
            _cell(row[k], max((r[k] for r in peers if r[k] is not None), default=None), k) for k in ("psnr", "ssim")
        ]
        name = f"{row['task']:<{width}}{row['method']:<16}"
        lines.append(f"{name}{cells[0]:>9}{cells[1]:>9}{row['network_calls']:>8}{row['seconds']:>10.2f}")
    return "\n".join(lines)


def _cell(value, best, name):
    if value is None:
        return "-"
    return ("*" if value == best else "") + (f"{value:.2f}" if name == "psnr" else f"{value:.3f}")


def _arrays(task: Task, results: dict[str, Result]) -> dict[str, np.ndarray]:
    """What reconstructions.npz holds of a task, by name `<task>/<what>`."""
    arrays = {
        f"{task.name}/{method}": np.asarray(insert_metal(result.mean, task.metal)) for method, result in results.items()
    }
    arrays[f"{task.name}/mask"] = np.asarray(task.measurement.operator.mask)
    if task.truth is not None:
        arrays[f"{task.name}/truth"] = np.asarray(task.truth)
    if task.metal is not None:
        arrays[f"{task.name}/metal"] = np.asarray(task.metal)
    if results["scoreinv"].std is not None:
        arrays[f"{task.name}/scoreinv-std"] = np.asarray(results["scoreinv"].std)
        arrays[f"{task.name}/scoreinv-quantiles"] = np.asarray(results["scoreinv"].quantiles)
    return arrays


def _figure(task: Task, results: dict[str, Result], path: Path) -> None:
    """One figure of a task: truth, every method, errors, and the standard deviation over samples."""
    images = {name: result.mean for name, result in results.items()}
    panel(images, task.truth, results["scoreinv"].std, metal=task.metal, title=task.name).savefig(path)
