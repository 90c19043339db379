"""A scan that was undersampled when it was measured: zero-filled, wavelets, total variation and the prior, to look at.

python -m experiments.real_mri.undersampled --scan=cartesian_ksp.npy --figure=docs/real-mri.png

No image of all samples exists, so that nothing is scored. Baselines have the weights that were best at every fourth
column of the fully sampled scan of `experiments.real_mri`; the prior's method has its defaults.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from configs import mri_demo
from experiments.real_mri.__main__ import methods
from scoreinv.build.scans import read_scan
from scoreinv.evaluation import metrics

WEIGHTS = {"zero-filled": 0.0, "L1-wavelet": 0.01, "TV": 0.003, "scoreinv": 0.0}


def main(arguments: list[str] | None = None) -> None:
    """Reconstructs the scan by each method and draws the whole images and a part of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", required=True, help="undersampled k-space, any file that a measurement may be")
    parser.add_argument("--figure", default="runs/real_mri/undersampled.png")
    parser.add_argument("--samples", type=int, default=2)
    flags = parser.parse_args(arguments)
    config = mri_demo.get_config()
    config.sampler.samples = flags.samples
    scan = read_scan(Path(flags.scan), config)
    images = {}
    for name, weight in WEIGHTS.items():
        image, seconds = methods(config)[name][1](scan, weight)
        print(f"{name}: {seconds:.1f} s", flush=True)
        images[name] = np.asarray(metrics.magnitude(image))
    Path(flags.figure).parent.mkdir(parents=True, exist_ok=True)
    figure(images).savefig(flags.figure, dpi=110)


def figure(images: dict[str, np.ndarray]) -> Figure:
    """The images, and below them the middle third of each."""
    drawn = Figure(figsize=(2.4 * len(images), 5.2), layout="constrained")
    whole, part = drawn.subplots(2, len(images), height_ratios=(1.25, 1))
    for above, below, (name, image) in zip(whole, part, images.items(), strict=True):
        middle = image[tuple(slice(n // 3, n - n // 3) for n in image.shape)]
        for axis, shown in ((above, image), (below, middle)):
            axis.imshow(shown, cmap="gray", vmin=0, vmax=0.9)
            axis.axis("off")
        above.set_title(name, fontsize=10)
    return drawn


if __name__ == "__main__":
    main()
