"""Reconstruction driver: images or measurements in; table, metrics.json, reconstructions.npz and figures out."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Float
from tqdm import tqdm

from scoreinv import api, build, parallel
from scoreinv.build.plan import with_method
from scoreinv.build.tasks import Task, make_tasks
from scoreinv.citations import what_to_cite
from scoreinv.drivers.reconstruct_volume import reconstruct_volume
from scoreinv.evaluation import metrics
from scoreinv.evaluation.conformal import ANY
from scoreinv.evaluation.figures import panel
from scoreinv.evaluation.rows import claim_settings, digest
from scoreinv.formats.export import plain_geometry, write_maps
from scoreinv.formats.files import add_arrays, write_atomically
from scoreinv.formats.records import read_rows
from scoreinv.operators.mar import insert_metal, remove_metal
from scoreinv.prior import Prior
from scoreinv.reconstruction import Reconstruction, planes, shown
from scoreinv.scans.scan import Scan

SECTIONS = ("seed", "sampler", "interval", "methods", "baselines", "baseline_settings", "output")


class Result(NamedTuple):
    """What one method made of one task: its image (the mean of the draws), and of the sampler all that it says."""

    mean: Float[Array, "H W C"]
    network_calls: int
    seconds: float
    made: Reconstruction | None = None


Method = Callable[[Task, tqdm], Result]


def reconstruct(config, workdir: Path) -> list[dict[str, Any]]:
    """Reconstructs every task of a configuration with the baselines and the sampler it names.

    Args:
        config: the whole configuration; `config.parts`, when not empty, holds several to run in turn.
        workdir: receives `metrics.json`, `reconstructions.npz`, one figure `<task>.png` each, image files
            `<task>-image`, `-std`, `-low`, `-high`, `-contrast` and `-truth` in the unit and the place of the data, and
            in `reconstruct.json` what they were made with. A task is written when it is done; called again, those that
            are there are skipped. Of a volume (`slices`) what `reconstruct_volume` writes.

    Returns:
        The rows of `metrics.json`; where the sampler draws several images, `scoreinv` is the first and `scoreinv-mean`
        their mean.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written; a work directory of another
            seed, sampler, prior or data.
    """
    if config.slices:
        return reconstruct_volume(config, workdir)
    parts = dict(config.parts) or {"": config}
    if whole := [name for name, part in parts.items() if part.slices]:
        raise ValueError(
            f"part {whole[0]!r} has slices={parts[whole[0]].slices!r}; run a volume by itself, without parts"
        )
    runs = [(name, part, *make_tasks(part)) for name, part in parts.items()]
    names = [task.name for _, _, _, tasks in runs for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"two parts have a task {max(names, key=names.count)}; run them in two work directories")
    methods = [methods_of(part, prior) for _, part, prior, _ in runs]
    for name, part, prior, tasks in runs:
        claim_settings(workdir / "reconstruct.json", settings_of(name, part, prior, tasks))
    rows = _finished(workdir)
    total = sum(_images_of(part) * len(tasks) for _, part, _, tasks in runs)
    with tqdm(total=total, desc="reconstructing", unit="image") as bar:
        for (_, part, _, tasks), own in zip(runs, methods, strict=True):
            for task in tasks:
                if any(row["task"] == task.name for row in rows):
                    bar.update(_images_of(part))
                    logging.info("%s is there already", task.name)
                    continue
                results = _given(task) | {name: run(task, bar) for name, run in own.items()}
                results = _with_one_draw(results, part.sampler.samples)
                rows += [_row(task, name, result) for name, result in results.items()]
                _write_images(workdir, task, results, part)
                _write(workdir, task, results, rows)
    print(table(rows))
    print(f"figures, reconstructions.npz and metrics.json are in {workdir}")
    print(what_to_cite(method for part in parts.values() for method in _samplers_of(part)))
    return rows


def _samplers_of(config) -> list[str]:
    """The published methods that a part draws with."""
    sections = [with_method(config, method).sampler for method in ("scoreinv", *config.methods)]
    return [build.with_preset(section).method for section in sections]


def _images_of(config) -> int:
    """How many images the methods of a part make of one task."""
    own = [with_method(config, method).sampler.samples for method in ("scoreinv", *config.methods)]
    return len(config.baselines) + sum(own) + config.interval.draws


def settings_of(name: str, config, prior: Prior, tasks: list[Task]) -> dict[str, Any]:
    """All that decides what is written of the tasks of one part, flat; of prior and data the digests."""
    nested = {section: value for section, value in config.to_dict().items() if section in SECTIONS}
    flat = flax.traverse_util.flatten_dict(nested, sep=".") | {"prior": digest(prior)}
    flat |= {f"the data of {task.name}": digest(task.measurement) for task in tasks}
    return {f"{name}.{field}" if name else field: value for field, value in flat.items()}


def _finished(workdir: Path) -> list[dict[str, Any]]:
    """The rows of tasks that are done."""
    path = workdir / "metrics.json"
    return read_rows(path, "the rows of a reconstruction") if path.exists() else []


def _write(workdir: Path, task: Task, results: dict[str, Result], rows: list[dict[str, Any]]) -> None:
    """Writes what belongs to one task; its rows come last, and say that it is done."""
    write_atomically(workdir / f"{task.name}.png", partial(_figure, task, results))
    add_arrays(workdir / "reconstructions.npz", _arrays(task, results))
    write_atomically(workdir / "metrics.json", lambda path: path.write_text(json.dumps(rows, indent=1) + "\n"))


def _write_images(workdir: Path, task: Task, results: dict[str, Result], config) -> None:
    """Writes the sampler's image and what it says of it as the image files asked for, in the unit of the data."""
    made = (results.get("scoreinv-mean") or results["scoreinv"]).made
    assert made is not None
    unit = _unit(task)
    scan = replace(task.scan, **{name: unit[name] for name in ("scale", "offset", "unit")})
    own, own_unit = made.in_unit_of(scan), lambda image: scan.scale * shown(image) + scan.offset
    maps = {name: plane[None] for name, plane in planes(own, config.output.phase, config.interval.scales).items()}
    for name, image in (("image", made.image), ("truth", task.truth)):
        if image is not None:
            maps[name] = np.asarray(own_unit(insert_metal(image, task.metal)))[None, ..., 0]
    geometry = own.geometry or plain_geometry(unit=scan.unit)
    said = f"scoreinv {config.sampler.method}, prior {Path(config.prior).stem}"
    write_maps(config.output.formats, workdir / task.name, maps, geometry, said)


def methods_of(config, prior: Prior) -> dict[str, Method]:
    """Every method of a configuration as (task, progress bar) -> Result."""
    methods: dict[str, Method] = {}
    for name in config.baselines:
        method = build.baseline(config, name)
        run = parallel.compiled_once(lambda measurement, key, method=method: method(key, measurement))
        methods[name] = partial(_run_baseline, run)
    build.sampler(config.sampler)  # a mistake in it ends the run before anything is computed
    build.posterior_sampler(config)
    build.correction(config.interval, config.prior, ANY)
    for name in config.methods:
        other = with_method(config, name)
        other.interval.draws = 0  # the interval is about the image of the sampler above
        build.sampler(other.sampler)
        methods[name] = partial(_run_sampler, other, prior)
    methods["scoreinv"] = partial(_run_sampler, config, prior)
    return methods


def _given(task: Task) -> dict[str, Result]:
    """The scanner's own image, where the task has one, as if a method had made it."""
    image = task.scan.uncorrected
    return {} if image is None else {"uncorrected": Result(image, 0, 0.0)}


def _with_one_draw(results: dict[str, Result], samples: int) -> dict[str, Result]:
    """The results with the first draw as `scoreinv` and the mean of all as `scoreinv-mean`, where there are several."""
    mean = results["scoreinv"]
    if mean.made is None or mean.made.std is None:
        return results
    one = mean._replace(mean=mean.made.draws[0], network_calls=mean.network_calls // samples)
    return results | {"scoreinv": one._replace(seconds=mean.seconds / samples), "scoreinv-mean": mean}


def _run_baseline(run, task: Task, bar: tqdm) -> Result:
    image, seconds = run(task.measurement, jax.random.split(jax.random.key(0), 1))
    bar.update()
    return Result(image[0], 0, seconds)


def _run_sampler(config, prior: Prior, task: Task, bar: tqdm) -> Result:
    interval = {**config.interval, "correction": build.correction_file(config.interval, config.prior)}
    scan = Scan(task.name, task.measurement)
    about: dict[str, Any] = {"interval": interval, "task": task.operator}
    made = api.reconstruct(scan, prior, seed=config.seed, progress=bar.update, **about, **config.sampler)
    return Result(made.image, made.network_calls, made.seconds, made)


def _row(task: Task, method: str, result: Result) -> dict[str, Any]:
    """One row of metrics.json; PSNR and SSIM are null where no truth exists."""
    truth = None if task.truth is None else remove_metal(task.truth, task.metal)
    image = remove_metal(result.mean, task.metal)
    if not jnp.isfinite(image).all():
        logging.error("%s: the image of %s holds NaN or Inf, it has diverged; change its settings", task.name, method)
        truth = None
    return {
        "task": task.name,
        "method": method,
        "psnr": None if truth is None else round(float(metrics.psnr(image, truth)), 4),
        "ssim": None if truth is None else round(float(metrics.ssim(image, truth)), 5),
        "network_calls": result.network_calls,
        "seconds": round(result.seconds, 3),
        **_unit(task),
    }


def _unit(task: Task) -> dict[str, Any]:
    """How an image of [0, 1] becomes one in the unit of the data, and its pixels' size in mm where it is known."""
    scale = task.scan if task.intensity is None else task.intensity
    unit, spacing = task.unit or task.scan.unit, list(task.scan.spacing or ())
    return {"scale": scale.scale, "offset": scale.offset, "unit": unit, "spacing": spacing}


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
    """What reconstructions.npz holds of a task, by name `<task>/<what>`.

    Images of a measurement are in its own unit, those of a simulated one in [0, 1] as the image was.
    """
    scale, offset = task.scan.scale, task.scan.offset
    images = {method: insert_metal(result.mean, task.metal) for method, result in results.items()}
    arrays = {f"{task.name}/{method}": np.asarray(scale * image + offset) for method, image in images.items()}
    arrays |= {f"{task.name}/{name}": np.asarray(value) for name, value in _unit(task).items()}
    arrays[f"{task.name}/mask"] = np.asarray(task.measurement.operator.mask)
    if task.truth is not None:
        arrays[f"{task.name}/truth"] = np.asarray(scale * task.truth + offset)
    if task.metal is not None:
        arrays[f"{task.name}/metal"] = np.asarray(task.metal)
    if (made := results["scoreinv"].made) is not None:
        arrays |= {f"{task.name}/{name}": value for name, value in _doubts(made, scale, offset).items()}
    return arrays


def _doubts(made: Reconstruction, scale: float, offset: float) -> dict[str, np.ndarray]:
    """What the sampler says of its image, by name, in the unit of the data."""
    widths = {"scoreinv-std": made.std, "scoreinv-contrast": made.contrast}
    images = {"scoreinv-quantiles": made.quantiles, "scoreinv-low": made.low, "scoreinv-high": made.high}
    arrays = {name: np.asarray(abs(scale) * x) for name, x in widths.items() if x is not None}
    arrays |= {name: np.asarray(scale * x + offset) for name, x in images.items() if x is not None}
    if made.on_prior is not None:
        arrays["scoreinv-on-prior"] = made.on_prior
    if made.open_fraction is not None:
        arrays["scoreinv-open-fraction"] = np.asarray(made.open_fraction)
    if made.interval is not None:
        arrays["scoreinv-interval"] = np.asarray(made.interval.about)
    return arrays


def _figure(task: Task, results: dict[str, Result], path: Path) -> None:
    """One figure of a task: truth, every method, errors, the interval and what rests on the prior."""
    images = {name: result.mean for name, result in results.items()}
    made = results["scoreinv"].made
    assert made is not None
    interval = made.interval and (made.interval.level, jnp.asarray(made.interval.half_width, jnp.float32))
    shown: dict[str, Any] = {"interval": interval, "flagged": made.on_prior, "metal": task.metal, "title": task.name}
    panel(images, task.truth, made.std, **shown).savefig(path)
