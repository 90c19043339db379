"""Configuration to the correction of intervals that fits a task."""

from pathlib import Path

from absl import logging

from scoreinv.build.priors import WEIGHTS
from scoreinv.evaluation import conformal


def correction_file(section, prior: str) -> str:
    """What `interval.correction` names, for a prior of this name: a file, or "none"."""
    if section.correction != "bundled":
        return section.correction
    path = WEIGHTS / f"{prior}.intervals.json"
    return str(path) if prior and path.is_file() else "none"


def correction(section, prior: str, task: str) -> conformal.Correction | None:
    """The correction of intervals for a task.

    Args:
        section: `config.interval`.
        prior: name of the prior.
        task: name of the operator, as `operators` gives it; "" where nothing is known.

    Returns:
        The task's own, else the one for all tasks of the file, which is said; None where there is no file to use.

    Raises:
        ValueError: a file that holds no corrections, or a level that they were not fitted for.
    """
    name = correction_file(section, prior)
    if name == "none" or not section.draws:
        return None
    found = conformal.load(Path(name))
    chosen = found.get(task, found.get(conformal.ANY))
    if chosen is None:
        raise ValueError(f"{name!r} has no correction for {task!r}, but for {', '.join(found)}; set it to none")
    if section.level not in chosen.levels:
        known = ", ".join(map(str, chosen.levels))
        raise ValueError(
            f"interval.level={section.level}; {name!r}, of {chosen.subjects} subjects, has corrections for {known}; "
            "give one of these, or interval.correction=none for the interval as drawn"
        )
    if task not in found:
        logging.info("no correction of intervals for %s: that of other tasks is used", task or "this measurement")
    return chosen
