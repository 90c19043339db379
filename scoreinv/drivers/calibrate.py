"""Calibration driver: how wide intervals must be to hold, fitted on validation subjects and checked on each in turn."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from tqdm import tqdm

from scoreinv import build
from scoreinv.build.comparison import choose_slices, fitting_prior
from scoreinv.evaluation import conformal, coverage
from scoreinv.evaluation.rows import claim_settings, digest
from scoreinv.evaluation.subset import Subset
from scoreinv.evaluation.tables import markdown
from scoreinv.evaluation.uncertainty import draw
from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import reading
from scoreinv.formats.numpy_arrays import open_npz
from scoreinv.operators.base import LinearOperator, block_mean, forward_model, simulate
from scoreinv.prior import Prior

CASE = "draws of a slice by --mode=calibrate"
SECTIONS = ("seed", "operator", "sampler", "interval", "data")
# Named by folders of draws, or about what is done with an interval.
FREE = ("operator.acceleration", "operator.views", "interval.correction", "interval.level", "interval.contrast",
        "interval.area")  # fmt: skip
Cases = dict[str, list[coverage.Case]]


def calibrate(config, workdir: Path) -> dict[str, conformal.Correction]:
    """Fits the correction of intervals on validation subjects, one for each operator and one for all.

    Args:
        config: the whole configuration, without parts; `calibrate.splits` names the subjects, which the prior must not
            have been trained on.
        workdir: receives `intervals.json` for `interval.correction`, `coverage.md` and `coverage.json` with the
            coverage of each subject by the others' correction, and in `draws` a file for each slice; a slice whose file
            is there is not drawn again.

    Returns:
        The corrections by operator.

    Raises:
        ValueError: anything wrong with the input, fewer than 3 subjects, or a work directory of another seed, sampler,
            prior or data.
    """
    sets = {split: choose_slices(config, split, config.calibrate.slices) for split in config.calibrate.splits}
    subjects = {name[0] for chosen in sets.values() for name in chosen.names}
    shape = (config.data.size, config.data.size, 1)
    prior = fitting_prior(config, shape)
    if len(subjects) < 3:
        raise ValueError(f"{len(subjects)} validation subjects; give at least 3, better 20 (calibrate.splits, data)")
    content = {name: value for chosen in sets.values() for name, value in chosen.means().items()}
    claim_settings(workdir / "calibrate.json", _settings_of(config, prior) | content)
    cases = cases_of(config, prior, workdir / "draws", sets)
    return conclude(config, workdir, cases)


def conclude(config, workdir: Path, cases: Cases) -> dict[str, conformal.Correction]:
    """Fits and checks corrections, and writes them down."""
    about = f"{Path(config.prior).name}, {config.sampler.method}, {config.interval.draws} posterior draws"
    every = [c for of_task in cases.values() for c in of_task]
    named = {conformal.task_name(operator, config.operator.noise_std): found for operator, found in cases.items()}
    levels = promised(len(coverage.scores(every)))
    corrections = {
        task: conformal.fit(coverage.scores(found), f"{task} of {about}", levels) for task, found in named.items()
    } | {conformal.ANY: conformal.fit(coverage.scores(every), f"{', '.join(named)} of {about}", levels)}
    reports = {task: coverage.report(found) for task, found in cases.items()}
    conformal.save(workdir / "intervals.json", corrections)
    write_atomically(workdir / "coverage.json", lambda p: p.write_text(json.dumps(reports, indent=1) + "\n"))
    write_atomically(workdir / "coverage.md", lambda p: p.write_text(table(reports)))
    logging.info("intervals.json, coverage.md and coverage.json are in %s", workdir)
    return corrections


def _settings_of(config, prior: Prior) -> dict[str, Any]:
    """All that decides what is drawn of a slice, flat."""
    nested = {name: value for name, value in config.to_dict().items() if name in SECTIONS}
    flat = flax.traverse_util.flatten_dict(nested, sep=".") | {"prior": digest(prior)}
    return {name: value for name, value in flat.items() if name not in FREE}


def promised(subjects: int) -> tuple[float, ...]:
    """The levels that corrections of a number of subjects are written for; says which they are too few for."""
    levels = conformal.levels_for(subjects)
    if levels != conformal.LEVELS:
        known = ", ".join(f"{100 * level:g} %" for level in levels)
        logging.warning("%d subjects: corrections for %s only; 90 %% needs 9 subjects, 95 %% needs 19", subjects, known)
    return levels


def cases_of(config, prior: Prior, folder: Path, sets: dict[str, Subset]) -> Cases:
    """Draws of every slice under every operator, kept in files, as what calibration counts."""
    shape = (config.data.size, config.data.size, 1)
    key = jax.random.key(config.seed)
    cases: Cases = {}
    for task, operator in build.operators(config.operator, shape, key):
        fine: Any = forward_model(operator.transform, config.operator.oversample)
        shared = prior, operator, LinearOperator(operator.mask, fine)
        measure_and_draw = _program(config, operator)
        todo = [(split, i) for split, chosen in sets.items() for i in range(len(chosen.names))]
        for number, (split, i) in enumerate(tqdm(todo, desc=f"drawing, {task}", unit="slice")):
            path = folder / task / f"{split}-{'-'.join(map(str, sets[split].names[i]))}.npz"
            if not path.exists():
                image = jnp.asarray(sets[split].images[i])
                made = measure_and_draw(shared, jax.random.fold_in(key, number), image)
                arrays = made | {"subject": np.array(sets[split].names[i][0])}
                write_atomically(path, partial(_write, arrays))
            cases.setdefault(task, []).append(read_case(path))
    return cases


def _write(arrays: dict[str, Any], path: Path) -> None:
    np.savez_compressed(path, **arrays)


def _program(config, operator: LinearOperator):
    """((prior, operator, that of the finer object), key, image) -> {"truth", "image", "draws"} of one slice."""
    oversample, noise_std = config.operator.oversample, jnp.float32(config.operator.noise_std)
    shape = (config.data.size, config.data.size, 1)
    make, settings = build.sampler(config.sampler, simulate(jax.random.key(0), operator, jnp.zeros(shape), noise_std))
    posterior, of_posterior = build.posterior_sampler(config)
    samples, count = config.sampler.samples, config.interval.draws
    batch = build.draws_at_once(config.sampler.batch_size, shape)

    @jax.jit
    def program(shared, settings, noise_std, key, image) -> dict[str, Any]:
        prior, operator, fine = shared
        noise_key, point_key, draw_key = jax.random.split(key, 3)
        measurement = simulate(noise_key, fine, image, noise_std)._replace(operator=operator)
        points = draw(make(prior, settings[0]), point_key, measurement, samples, batch)
        draws = draw(posterior(prior, settings[1]), draw_key, measurement, count, batch)
        return {"truth": block_mean(image, oversample), "image": points.mean(0), "draws": draws}

    return lambda shared, key, image: program(shared, (settings, of_posterior), noise_std, key, image)


def read_case(path: Path) -> coverage.Case:
    """A slice of the folder of draws."""
    with reading(path, CASE), open_npz(path, expected=CASE) as file:
        return coverage.case(str(file["subject"]), file["truth"], file["image"], file["draws"])


def table(reports: dict[str, dict[str, Any]]) -> str:
    """The coverage of every task as Markdown: a row for each group of pixels and nominal level."""
    levels = list(next(iter(reports.values()))["corrected"])
    lines = [
        ["task", "pixels", *(f"{100 * float(level):g} %, {how}" for how in ("drawn", "corrected") for level in levels)]
    ]
    for task, found in reports.items():
        for group in found["corrected"][levels[0]]:
            values = [found[how][level].get(group) for how in ("as drawn", "corrected") for level in levels]
            lines.append([task, group, *("" if v is None else f"{v:.3f}" for v in values)])
        widths = [found[how][level] for how in ("half width as drawn", "half width") for level in levels]
        lines.append([f"{task}, {found['subjects']} subjects", "median half width", *(f"{w:.3f}" for w in widths)])
        worst = [f"{share:.3f}" for share in found["worst subject"].values()]
        lines.append([task, "subject covered least", *[""] * len(levels), *worst])
    return markdown(lines)
