"""Sweep driver: a grid or list over settings, accelerations, views, noise, methods; tidy CSV and curves out."""

import time
from pathlib import Path

import pandas as pd
from absl import logging

from scoreinv.build.comparison import choose_slices, fitting_prior, region
from scoreinv.build.plan import parse_axes, point_conditions, points
from scoreinv.drivers.evaluate import checked_reference, parts_of, settings_of, write_summary
from scoreinv.evaluation.figures import Line, curves
from scoreinv.evaluation.rows import claim_settings
from scoreinv.evaluation.runner import Runner, run
from scoreinv.evaluation.tables import UNITS, frame, labels_of, summarize
from scoreinv.formats.files import write_atomically

LOGARITHMIC = 20  # factor from an axis' first to its last value above which it is drawn logarithmically


def sweep(config, workdir: Path) -> pd.DataFrame:
    """Runs a sweep; what is data (settings, masks, noise and noise levels) rides in one compiled program per structure.

    Args:
        config: the whole configuration; `config.parts`, when not empty, holds several to run in turn.
        workdir: receives `sweep.csv` (a row for each slice and point), `summary.md`, `summary.json` and a figure
            `<axis>.png` of PSNR and SSIM for every axis of numbers; with parts, in a folder for each.

    Returns:
        The summaries, one row for each point.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written.
    """
    return pd.concat([_sweep(part, folder) for part, folder in parts_of(config, workdir)], ignore_index=True)


def _sweep(config, workdir: Path) -> pd.DataFrame:
    shape = (config.data.size, config.data.size, 1)
    reference = checked_reference(config)
    conditions = point_conditions(config, points(config.sweep.over, config.sweep.combine), shape)
    prior = fitting_prior(config, shape)
    slices = choose_slices(config, config.evaluate.split, config.evaluate.slices)
    runner = Runner(prior, slices, region(config.evaluate.region), config.seed)
    axes = [name for name in parse_axes(config.sweep.over) if name != "method"]
    named = tuple(f"{section}.{axis.rpartition('.')[2]}" for axis in axes for section in ("operator", "sampler"))
    claim_settings(workdir / "sweep.json", settings_of(config, prior, named) | slices.means())
    started = time.perf_counter()
    rows = frame(run(workdir / "sweep.csv", conditions, runner, "sweeping"))
    logging.info(
        "%d conditions, %d compilations; %.1f s, of which %.1f s sampling",
        *(len(conditions), runner.compilations, time.perf_counter() - started, runner.seconds),
    )
    summary = summarize(rows, reference)
    write_summary(workdir, summary, labels_of(rows))
    for axis in axes:
        lines = lines_over(summary, axis)
        if lines:
            figure = curves(lines, axis, logarithmic=_spans(summary[axis], LOGARITHMIC))
            write_atomically(workdir / f"{axis}.png", figure.savefig)
    return summary


def _spans(values: pd.Series, factor: float) -> bool:
    """Whether positive numbers have largest and smallest apart by more than a factor."""
    x = pd.to_numeric(values, errors="coerce").dropna()
    return bool(x.min() > 0 and x.max() > factor * x.min())


def lines_over(summary: pd.DataFrame, axis: str) -> dict[str, dict[str, Line]]:
    """PSNR and SSIM against one axis, a line for each combination of the other labels.

    Args:
        summary: what `summarize` returns.
        axis: the label along which the lines run; a condition that it does not concern is a level line.

    Returns:
        Vertical label -> line name -> (x, y); empty where the axis does not hold two different numbers.
    """
    x = pd.to_numeric(summary[axis], errors="coerce")
    if x[summary[axis] != ""].isna().any() or x.nunique() < 2:
        return {}
    others = [label for label in label_columns(summary) if label != axis]
    panels: dict[str, dict[str, Line]] = {UNITS["psnr"]: {}, UNITS["ssim"]: {}}
    for values, group in summary.assign(x=x).groupby(others, sort=False):
        ends = pd.concat([group.assign(x=x.min()), group.assign(x=x.max())]) if group["x"].isna().all() else group
        line = ends.sort_values("x")
        for measure in ("psnr", "ssim"):
            y = line[f"{measure}_mean"].tolist()
            panels[UNITS[measure]][_line_name(others, values, summary)] = (line["x"].tolist(), y)
    return panels


def label_columns(summary: pd.DataFrame) -> list[str]:
    """The labels of a summary."""
    return list(summary.columns[: summary.columns.get_loc("slices")])


def _line_name(labels: list[str], values, summary: pd.DataFrame) -> str:
    """The values that tell lines apart: the method bare, the others with their axis."""
    varying = [(k, v) for k, v in zip(labels, values, strict=True) if v and summary[k].nunique() > 1]
    return ", ".join(v if k == "method" else f"{k} {v}" for k, v in varying) or values[0]
