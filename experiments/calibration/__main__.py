"""Do the intervals hold? Coverage of subjects that neither the prior nor the correction has seen, on four tasks.

python -m experiments.calibration --mri=brain.npz --ct=body.npz
python -m experiments.calibration --fast

Runs --mode=calibrate for 4x and 8x MRI and for CT from 23 views and over 90 degrees; continues where it was stopped.
Writes a folder for each task, coverage.md, coverage.json and reliability.png.
"""

import argparse
import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

from configs import limited_angle_demo
from experiments.fast import shrink
from experiments.small import body, brain
from scoreinv.drivers.calibrate import calibrate, table
from scoreinv.formats.files import write_atomically

SPLITS = ("validation", "test")


def configurations(mri: str, ct: str) -> dict:
    """Task -> configuration, of those whose data are there."""
    found = {}
    if mri:
        for name, acceleration in {"mri-4x": 4.0, "mri-8x": 8.0}.items():
            found[name] = brain()
            found[name].operator.acceleration = (acceleration,)
    if ct:
        found |= {"ct-23-views": body(), "ct-90-degrees": body(limited_angle_demo)}
    for name, config in found.items():
        source = mri if name.startswith("mri") else ct
        config.data.update({"folders": (source,)} if Path(source).is_dir() else {"packed": source})
        config.calibrate.splits = SPLITS
    return found


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


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mri", default="", help="MRI data: a packed file of --mode=prepare, or a folder of volumes")
    parser.add_argument("--ct", default="", help="CT data: the same")
    parser.add_argument("--slices", type=int, default=12, help="of each split, spread over its subjects")
    parser.add_argument("--samples", type=int, default=1, help="draws of the default method, whose mean is the image")
    parser.add_argument("--fast", action="store_true", help="phantoms and an untrained network: seconds, no meaning")
    parser.add_argument("--workdir", type=Path, default=Path("runs/calibration"))
    options = parser.parse_args(argv)
    mri, ct = (source or ("phantoms" if options.fast else "") for source in (options.mri, options.ct))
    reports = {}
    try:
        for task, config in configurations(mri, ct).items():
            config.sampler.samples = options.samples
            config.calibrate.slices = options.slices
            config = shrink(config, options.workdir / "fast") if options.fast else config
            calibrate(config, options.workdir / task)
            (reports[task],) = json.loads((options.workdir / task / "coverage.json").read_text()).values()
    except ValueError as error:
        sys.exit(f"error: {error}")
    if not reports:
        sys.exit("give --mri or --ct, or --fast")
    write_atomically(options.workdir / "coverage.md", lambda path: path.write_text(table(reports)))
    write_atomically(options.workdir / "coverage.json", lambda p: p.write_text(json.dumps(reports, indent=1) + "\n"))
    write_atomically(options.workdir / "reliability.png", figure(reports).savefig)
    print(table(reports))


if __name__ == "__main__":
    main()
