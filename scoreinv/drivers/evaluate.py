"""Evaluation driver: methods on the slices of a split; per-slice CSV, summary and figures out."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from absl import logging

from scoreinv.build.comparison import choose_slices, fitting_prior, region
from scoreinv.build.plan import Condition, method_conditions
from scoreinv.evaluation.figures import panel
from scoreinv.evaluation.rows import claim_settings
from scoreinv.evaluation.runner import SLICE, Runner, run
from scoreinv.evaluation.tables import aligned, frame, labels_of, markdown, summarize, table
from scoreinv.formats.files import write_atomically
from scoreinv.prior import Prior

SECTIONS = ("seed", "operator", "sampler", "methods", "supervised", "baseline_settings", "data", "evaluate")
RANKS = ("best", "median", "worst")


def evaluate(config, workdir: Path) -> pd.DataFrame:
    """Evaluates the methods of a configuration on a split.

    Args:
        config: the whole configuration; `config.parts`, when not empty, holds several to run in turn.
        workdir: receives `evaluate.csv` (a row for each slice), `summary.md`, `summary.json` and figures of the slices
            that the last method reconstructs best, at the median and worst; with parts, in a folder for each.

    Returns:
        The summaries, one row for each method and operator.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written.
    """
    summaries = [_evaluate(part, folder) for part, folder in parts_of(config, workdir)]
    return pd.concat(summaries, ignore_index=True)


def parts_of(config, workdir: Path) -> Iterator[tuple]:
    """(configuration, directory) of each part, or the configuration itself."""
    if not config.parts:
        yield config, workdir
    for name, part in config.parts.items():
        yield part, workdir / name


def _evaluate(config, workdir: Path) -> pd.DataFrame:
    shape = (config.data.size, config.data.size, 1)
    conditions = method_conditions(config, shape)
    prior = fitting_prior(config, shape)
    slices = choose_slices(config, config.evaluate.split, config.evaluate.slices)
    runner = Runner(prior, slices, region(config.evaluate.region), config.seed)
    claim_settings(workdir / "evaluate.json", settings_of(config, prior, ("operator.acceleration", "operator.views")))
    rows = frame(run(workdir / "evaluate.csv", conditions, runner, "evaluating"))
    summary = summarize(rows)
    write_summary(workdir, summary, labels_of(rows))
    for condition in conditions:
        if condition.labels["method"] == conditions[-1].labels["method"]:
            _figures(workdir, rows, [c for c in conditions if _same_operator(c, condition)], runner)
    logging.info("%d compilations; evaluate.csv, summary.* and figures are in %s", runner.compilations, workdir)
    return summary


def settings_of(config, prior: Prior, free: tuple[str, ...] = ()) -> dict[str, object]:
    """All that decides what a row of results holds, flat; `free` are fields that the row itself names."""
    nested = {name: value for name, value in config.to_dict().items() if name in SECTIONS}
    flat = flax.traverse_util.flatten_dict(nested, sep=".")
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(prior):
        digest.update(np.asarray(leaf).tobytes())
    free = (*free, "sampler.batch_size", "evaluate.slices", "evaluate.methods")
    return {k: v for k, v in flat.items() if k not in free} | {"prior": digest.hexdigest()}


def write_summary(workdir: Path, summary: pd.DataFrame, labels: list[str]) -> None:
    """Writes summary.md and summary.json, and prints the table."""
    full = markdown(table(summary, labels, subjects=True))
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
