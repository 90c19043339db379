"""A real scan undersampled afterwards: what is wrong in the image, and what its interval and its outline say of it.

python -m experiments.real_mri.doubts --scan=full.cfl --factor=8 --figure=docs/brain-mri-8-coils.png

Every `factor`-th column and 24 about the zero frequency are left, as in `experiments.real_mri`; image, interval and
outline are the defaults of the package. Prints how the error is spread over pixels by the width of their interval.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import scoreinv
from experiments.real_mri.__main__ import build_columns, configuration, methods
from scoreinv.build.scans import retrospective_scans
from scoreinv.evaluation import metrics
from scoreinv.evaluation.uncertainty import object_region

BASELINES = {"zero-filled": 0.0, "TV": 0.003}  # TV's weight: the best on this slice, see README.md
WRONG = 0.1


def main(arguments: list[str] | None = None) -> None:
    """Reconstructs, says what is wrong where, and draws it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", required=True, help="fully sampled k-space, any file that a measurement may be")
    parser.add_argument("--factor", type=int, default=8, help="every so many columns are left")
    parser.add_argument("--figure", type=Path, default=Path("runs/real_mri/doubts.png"))
    parser.add_argument("--samples", type=int, default=4)
    flags = parser.parse_args(arguments)
    config = configuration(flags.factor, build_columns(Path(flags.scan)), flags.samples)
    ((scan, truth),) = retrospective_scans(Path(flags.scan), config)
    images = {name: methods(config)[name][1](scan, weight)[0] for name, weight in BASELINES.items()}
    made = scoreinv.reconstruct(scan, config.prior, samples=flags.samples).normalized()
    scored = {
        name: (image, float(metrics.psnr(image, truth))) for name, image in (images | {"scoreinv": made.image}).items()
    }
    shown = {"all of k-space": metrics.magnitude(truth)}
    shown |= {f"{name}\n{psnr:.1f} dB": metrics.magnitude(image) for name, (image, psnr) in scored.items()}
    error = np.abs(metrics.magnitude(made.image) - metrics.magnitude(truth))
    print(summary(error, made.interval.half_width[..., 0], made.on_prior, object_region(np.asarray(truth))))
    flags.figure.parent.mkdir(parents=True, exist_ok=True)
    figure(shown, error, made).savefig(flags.figure, dpi=110)


def summary(error, half_width, on_prior, region) -> str:
    """How often the interval holds, and where errors above 0.1 lie: by its width and inside of the outline."""
    error, half_width, on_prior = error[region], half_width[region], on_prior[region]
    wrong = error > WRONG
    wide = half_width >= np.quantile(half_width, 0.75)
    return (
        f"the interval holds {np.mean(error <= half_width):.3f} of the pixels in the object; off by more than {WRONG}: "
        f"{wrong.mean():.3f} of them, {wide[wrong].mean():.2f} of those in the quarter with the widest intervals, "
        f"{on_prior[wrong].mean():.2f} inside of the outline, which has {on_prior.mean():.2f} of the object"
    )


def figure(shown, error, made) -> Figure:
    """Images, error and half width side by side, with the outline of what rests on the prior."""
    drawn = Figure(figsize=(2.2 * (len(shown) + 2), 3.5), layout="constrained")
    axes = drawn.subplots(1, len(shown) + 2)
    for axis, (caption, image) in zip(axes, shown.items(), strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=0.9)
        axis.set_title(caption, fontsize=9)
    maps = {
        "|error|\nof scoreinv": error,
        f"half width of its\n{100 * made.interval.level:.0f} % interval": made.interval.half_width[..., 0],
    }
    for axis, (caption, values) in zip(axes[len(shown) :], maps.items(), strict=True):
        axis.imshow(values, cmap="inferno", vmin=0, vmax=0.3)
        axis.set_title(caption, fontsize=9)
        axis.contour(made.on_prior, levels=[0.5], colors="deepskyblue", linewidths=0.7)
    for axis in axes:
        axis.axis("off")
    return drawn


if __name__ == "__main__":
    main()
