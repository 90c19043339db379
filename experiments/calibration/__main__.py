"""Do the intervals hold? Coverage of subjects that neither the prior nor the correction has seen.

python -m experiments.calibration --mri=brain.npz --ct=body.npz
python -m experiments.calibration --mri=brain.npz --tasks=mri-4x,mri-4x-256 --noise=noisy
python -m experiments.calibration --fast

Runs --mode=calibrate for 4x and 8x MRI and for CT from 23 views and over 90 degrees, with noise and without, at
128 x 128, and for one task of each anatomy at 256 x 256; continues where it was stopped. Writes a folder for each task,
coverage.md, coverage.json, reliability.png, for each prior <prior>.intervals.json, and enlarged.md, what those hold at
256 x 256.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from configs import limited_angle_demo
from experiments.fast import shrink
from experiments.small import body, brain
from scoreinv.drivers.calibrate import calibrate, promised, read_case, table
from scoreinv.evaluation import conformal
from scoreinv.evaluation.coverage import Case, scores
from scoreinv.formats.files import write_atomically

SPLITS = ("validation", "test")
LEVEL = 0.9


def configurations(mri: str, ct: str) -> dict[str, dict]:
    """Task -> noise -> configuration, of those whose data are there."""
    tasks: dict[str, dict] = {}
    if mri:
        for acceleration in (4.0, 8.0):
            tasks[f"mri-{acceleration:.0f}x"] = both(_task(brain(), mri, acceleration=(acceleration,)))
        tasks["mri-4x-256"] = {"noisy": large(_task(brain(), mri, acceleration=(4.0,)))}
    if ct:
        tasks |= {"ct-23-views": both(_task(body(), ct)), "ct-90-degrees": both(_task(body(limited_angle_demo), ct))}
        tasks["ct-46-views-256"] = {"noisy": large(_task(body(), ct, views=(46,)))}
    return tasks


def _task(config, source: str, **operator):
    config.data.update({"folders": (source,)} if Path(source).is_dir() else {"packed": source})
    config.operator.update(operator)
    config.calibrate.splits = SPLITS
    return config


def both(config) -> dict:
    """The configuration with its noise and without."""
    clean = config.copy_and_resolve_references()
    clean.operator.noise_std = 0.0
    return {"noisy": config, "noise-free": clean}


def large(config):
    """The configuration at the full size of the packed slices, which leaves no finer object to measure."""
    config.data.size = 256
    config.operator.oversample = 1
    return config


def figure(reports: dict[str, dict]) -> Figure:
    """Observed against nominal coverage, as drawn and corrected; below the diagonal intervals are too short."""
    drawing = Figure(figsize=(7, 3.6), dpi=150, layout="constrained")
    for axes, how in zip(drawing.subplots(1, 2, sharey=True), ("as drawn", "corrected"), strict=True):
        axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8)
        for task, found in reports.items():
            levels = [float(level) for level in found[how]]
            axes.plot(levels, [groups["all"] for groups in found[how].values()], "o-", label=task, markersize=4)
            axes.plot(levels, [groups["edges"] for groups in found[how].values()], "x", color="gray", markersize=4)
        axes.set(xlabel="nominal coverage", title=f"{how} (x: near edges)", xlim=(0.4, 1), ylim=(0.2, 1))
    axes.legend(fontsize=7, frameon=False)
    drawing.axes[0].set_ylabel("observed coverage")
    return drawing


def small_cases(workdir: Path, tasks: dict) -> dict[str, dict[str, list[Case]]]:
    """Prior -> name of a correction -> cases, of the tasks of 128 x 128."""
    cases: dict[str, dict[str, list[Case]]] = {}
    for task, config in tasks.items():
        if config.operator.oversample > 1:
            own = cases.setdefault(Path(config.prior).stem, {})
            for name, found in cases_of(workdir, task, config):
                own[name] = found
    return cases


def cases_of(workdir: Path, task: str, config) -> list[tuple[str, list[Case]]]:
    """(name of its correction, cases) of each operator of a task."""
    folders = sorted((workdir / task / "draws").iterdir())
    return [
        (
            conformal.task_name(folder.name, config.operator.noise_std),
            [read_case(p) for p in sorted(folder.glob("*.npz"))],
        )
        for folder in folders
    ]


def bundle(workdir: Path, cases: dict[str, dict[str, list[Case]]], about: str) -> None:
    """Writes each prior's corrections, <prior>.intervals.json: one for each name, and one for any other task."""
    for prior, of_prior in cases.items():
        origin = f"{prior}, {about}, 128 x 128 pixels, subjects not trained on"
        every = [case for found in of_prior.values() for case in found]
        levels = promised(len(scores(every)))
        corrections = {name: conformal.fit(scores(own), f"{name}, {origin}", levels) for name, own in of_prior.items()}
        corrections[conformal.ANY] = conformal.fit(scores(every), f"{', '.join(of_prior)}, {origin}", levels)
        conformal.save(workdir / f"{prior}.intervals.json", corrections)


def enlarged(workdir: Path, tasks: dict, cases: dict[str, dict[str, list[Case]]]) -> str:
    """Markdown: what 90 % intervals of 256 x 256 hold, corrected by the other subjects' slices of 128 x 128.

    As in use: by the correction of the task's name, where there is none by that for any task.
    """
    lines = ["| task | correction | subjects | 90 % holds | subject covered least |", "|---|---|---|---|---|"]
    for task, config in tasks.items():
        of_prior = cases.get(Path(config.prior).stem)
        if config.operator.oversample > 1 or not of_prior:
            continue
        for name, found in cases_of(workdir, task, config):
            fitted = scores(of_prior.get(name) or [case for own in of_prior.values() for case in own])
            held = []
            for subject, (error, spread) in scores(found).items():
                others = {other: values for other, values in fitted.items() if other != subject}
                held.append(np.mean(error <= conformal.fit(others, "", (LEVEL,)).half_width(spread, LEVEL)))
            used = name if name in of_prior else conformal.ANY
            lines.append(f"| {task} | {used} | {len(held)} | {np.mean(held):.3f} | {min(held):.3f} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mri", default="", help="MRI data: a packed file of --mode=prepare, or a folder of volumes")
    parser.add_argument("--ct", default="", help="CT data: the same")
    parser.add_argument("--slices", type=int, default=14, help="of each split, spread over its subjects")
    parser.add_argument("--samples", type=int, default=1, help="draws of the default method, whose mean is the image")
    parser.add_argument("--tasks", default="", help="only these, as in mri-4x,ct-23-views; default: all")
    parser.add_argument("--noise", default="", choices=("", "noisy", "noise-free"), help="only this; default: both")
    parser.add_argument("--fast", action="store_true", help="phantoms and an untrained network: seconds, no meaning")
    parser.add_argument("--workdir", type=Path, default=Path("runs/calibration"))
    options = parser.parse_args(argv)
    mri, ct = (source or ("phantoms" if options.fast else "") for source in (options.mri, options.ct))
    reports = {}
    try:
        tasks = chosen(configurations(mri, ct), options.tasks, options.noise)
        for name, config in tasks.items():
            config.sampler.samples = options.samples
            config.calibrate.slices = options.slices
            calibrate(shrink(config, options.workdir / "fast") if options.fast else config, options.workdir / name)
            (reports[name],) = json.loads((options.workdir / name / "coverage.json").read_text()).values()
    except ValueError as error:
        sys.exit(f"error: {error}")
    write_atomically(options.workdir / "coverage.md", lambda path: path.write_text(table(reports)))
    write_atomically(options.workdir / "coverage.json", lambda p: p.write_text(json.dumps(reports, indent=1) + "\n"))
    write_atomically(options.workdir / "reliability.png", figure(reports).savefig)
    cases, (config, *_) = small_cases(options.workdir, tasks), tasks.values()
    bundle(options.workdir, cases, f"{config.sampler.method} and {config.interval.draws} draws of the posterior")
    larger = enlarged(options.workdir, tasks, cases)
    write_atomically(options.workdir / "enlarged.md", lambda path: path.write_text(larger))
    print(f"{table(reports)}\n{larger}")


def chosen(tasks: dict[str, dict], names: str, noise: str) -> dict:
    """ "<task>-<noise>" -> configuration, of the tasks and noises named.

    Raises:
        ValueError: no data, or a task that is none of them.
    """
    wanted = names.split(",") if names else list(tasks)
    unknown = [name for name in wanted if name not in tasks]
    if unknown or not tasks:
        known = ", ".join(tasks) or "none: give --mri or --ct, or --fast"
        raise ValueError(f"unknown task {', '.join(unknown) or names!r}; known are {known}")
    return {f"{name}-{kind}": config for name in wanted for kind, config in tasks[name].items() if noise in ("", kind)}


if __name__ == "__main__":
    main()
