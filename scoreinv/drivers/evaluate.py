"""Evaluation driver: methods on the slices of a split; per-slice CSV, summary and figures out."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from absl import logging

from scoreinv.build.baseline_choice import baseline_candidates
from scoreinv.build.comparison import choose_slices, fitting_prior, region
from scoreinv.build.plan import method_conditions, with_method
from scoreinv.evaluation.condition import Condition
from scoreinv.evaluation.figures import panel
from scoreinv.evaluation.rows import claim_settings
from scoreinv.evaluation.runner import SLICE, Runner, run
from scoreinv.evaluation.tables import MEASURES, aligned, frame, labels_of, markdown, summarize, table
from scoreinv.formats.files import write_atomically
from scoreinv.prior import Prior

SECTIONS = ("seed", "operator", "sampler", "methods", "supervised", "baseline_settings", "data", "evaluate")
RANKS = ("best", "median", "worst")
# (method, operator) -> the candidate whose settings are best there.
Chosen = dict[tuple[str, str], Condition]


def evaluate(config, workdir: Path) -> pd.DataFrame:
    """Evaluates the methods of a configuration on a split.

    Args:
        config: the whole configuration; `config.parts`, when not empty, holds several to run in turn.
        workdir: receives `evaluate.csv` (a row for each slice), `summary.md`, `summary.json` and figures of the slices
            that the last method reconstructs best, at the median and worst; `tuned.csv`, the rows of the validation
            slices on which baselines were tuned; with parts, in a folder for each.

    Returns:
        The summaries, one row for each method and operator.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written.
    """
    summaries = [_evaluate(part, folder) for part, folder in parts_of(config, workdir)]
    return pd.concat(summaries, ignore_index=True)


def parts_of(config, workdir: Path) -> Iterator[tuple[Any, ...]]:
    """(configuration, directory) of each part, or the configuration itself."""
    if not config.parts:
        yield config, workdir
    for name, part in config.parts.items():
        yield part, workdir / name


def _evaluate(config, workdir: Path) -> pd.DataFrame:
    shape = (config.data.size, config.data.size, 1)
    reference = checked_reference(config)
    conditions, candidates = method_conditions(config, shape), baseline_candidates(config, shape)
    prior = fitting_prior(config, shape)
    slices = choose_slices(config, config.evaluate.split, config.evaluate.slices)
    runner = Runner(prior, slices, region(config.evaluate.region), config.seed)
    validation = _validation_runner(config, runner) if candidates else None
    settings = settings_of(config, prior, ("operator.acceleration", "operator.views"))
    claim_settings(workdir / "evaluate.json", settings | slices.means())
    chosen = _choose(workdir, candidates, validation) if validation else {}
    conditions = [_with_settings_of(condition, chosen) for condition in conditions]
    rows = frame(run(workdir / "evaluate.csv", conditions, runner, "evaluating"))
    summary = summarize(rows, reference)
    if chosen:
        found = {place: candidate.labels["setting"] for place, candidate in chosen.items()}
        summary["setting"] = [found.get((r["method"], r["operator"]), "") for _, r in summary.iterrows()]
    write_summary(workdir, summary, labels_of(rows))
    for condition in conditions:
        if condition.labels["method"] == conditions[-1].labels["method"]:
            _figures(workdir, rows, [c for c in conditions if _same_operator(c, condition)], runner)
    logging.info("%d compilations; evaluate.csv, summary.* and figures are in %s", runner.compilations, workdir)
    return summary


def checked_reference(config) -> str:
    """The method that the others are compared with.

    Raises:
        ValueError: no such method.
    """
    if config.evaluate.reference:
        with_method(config, config.evaluate.reference)
    return config.evaluate.reference


def _validation_runner(config, runner: Runner) -> Runner:
    """A runner on validation slices."""
    if config.evaluate.split == "validation":
        raise ValueError("evaluate.tuned chooses on validation slices, evaluate.split scores them; drop one of the two")
    slices = choose_slices(config, "validation", config.evaluate.tuned_slices)
    return Runner(runner.prior, slices, region(config.evaluate.region), config.seed)


def _choose(workdir: Path, candidates: list[Condition], runner: Runner) -> Chosen:
    """The candidate of each method and operator that has the best mean PSNR; noted in evaluate.json."""
    rows = frame(run(workdir / "tuned.csv", candidates, runner, "tuning baselines"))
    means = rows.groupby(list(candidates[0].labels), sort=False)["psnr"].mean()
    chosen: Chosen = {}
    for candidate in candidates:
        place = candidate.labels["method"], candidate.labels["operator"]
        best = chosen.get(place)
        if best is None or means[tuple(candidate.labels.values())] > means[tuple(best.labels.values())]:
            chosen[place] = candidate
    noted = {f"tuned.{method}.{operator}": c.labels["setting"] for (method, operator), c in chosen.items()}
    claim_settings(workdir / "evaluate.json", noted)
    return chosen


def _with_settings_of(condition: Condition, chosen: Chosen) -> Condition:
    """The condition with the settings that were chosen for it, if any were."""
    best = chosen.get((condition.labels["method"], condition.labels["operator"]))
    return condition if best is None else condition._replace(make=best.make, settings=best.settings)


def settings_of(config, prior: Prior, free: tuple[str, ...] = ()) -> dict[str, object]:
    """All that decides what a row of results holds, flat; `free` are fields that the row itself names."""
    nested = {name: value for name, value in config.to_dict().items() if name in SECTIONS}
    flat = flax.traverse_util.flatten_dict(nested, sep=".")
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(prior):
        digest.update(np.asarray(leaf).tobytes())
    free = (*free, "sampler.batch_size", "evaluate.slices", "evaluate.methods", "evaluate.reference")
    return {k: v for k, v in flat.items() if k not in free} | {"prior": digest.hexdigest()}


def write_summary(workdir: Path, summary: pd.DataFrame, labels: list[str]) -> None:
    """Writes summary.md and summary.json, and prints the table."""
    full = markdown(table(summary, labels, MEASURES))
    write_atomically(workdir / "summary.md", lambda path: path.write_text(full))
    text = json.dumps(json.loads(summary.to_json(orient="records")), indent=1) + "\n"
    write_atomically(workdir / "summary.json", lambda path: path.write_text(text))
    print(aligned(table(summary, labels)))


def _same_operator(a: Condition, b: Condition) -> bool:
    return a.labels["operator"] == b.labels["operator"]


def _figures(workdir: Path, rows: pd.DataFrame, conditions: list[Condition], runner: Runner) -> None:
    """Draws what the last condition reconstructs best, at the median and worst, with the others beside it."""
    ours, operator = conditions[-1].labels["method"], conditions[-1].labels["operator"]
    paths = [workdir / f"{operator}-{rank}.png" for rank in RANKS]
    if runner.compilations == 0 and all(path.exists() for path in paths):
        return  # a finished run was called again
    own = rows[(rows["method"] == ours) & (rows["operator"] == operator)]
    ranked = own.sort_values("psnr", ascending=False)[list(SLICE)].to_numpy().tolist()
    names = [[str(part) for part in name] for name in runner.slices.names]
    indices = [names.index(ranked[i]) for i in (0, len(ranked) // 2, -1)]
    outcomes = {c.labels["method"]: runner.images(c, indices) for c in conditions}
    for position, (path, index) in enumerate(zip(paths, indices, strict=True)):
        title = f"{operator}, {RANKS[position]}: {names[index][0]}, slice {names[index][2]}"
        images = {name: jnp.asarray(drawn[position][0]) for name, drawn in outcomes.items()}
        truth, metal = runner.truth(conditions[-1], index)
        std = jnp.asarray(outcomes[ours][position][1]) if conditions[-1].samples > 1 else None
        write_atomically(path, panel(images, truth, std, metal=metal, title=title).savefig)
