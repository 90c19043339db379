"""Real projections that nobody simulated: a fan beam, a tooth, an alloy and a neutron scan, from many and few views.

    python -m experiments.real_ct.run sinogram --workdir=runs/real_ct [--scans htc tooth dendrite neutron]

`sinogram` is the folder of the four data sets (README.md says where they come from). The prior knows bodies, none of
these objects; nothing was trained on them. Writes the images of each run, a table and a picture of each scan; called
again with the same work directory it goes on with the runs that are not there yet.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import jax
import matplotlib.pyplot as plt
import numpy as np
from skimage.filters import threshold_otsu
from skimage.io import imread
from skimage.transform import resize
from tqdm import tqdm

from configs import ct_demo
from scoreinv import build
from scoreinv.build.scans import make_scan
from scoreinv.build.tasks import Task
from scoreinv.drivers import reconstruct
from scoreinv.formats.arrays import read_arrays
from scoreinv.formats.files import add_arrays
from scoreinv.prior import padded

SIDE = 128
Arrays = dict[str, np.ndarray]
# What is run of each scan: (label, views kept, fields of `scan`).
Run = tuple[str, np.ndarray, dict[str, Any]]


def of_views(arrays: Arrays, kept: np.ndarray) -> Arrays:
    """The scan of some of the views."""
    views = max(len(kept), *(arrays[name].shape[0] for name in arrays if "sino" in name or name == "exchange/data"))
    count = len(kept) if kept.dtype == bool else views
    return {n: a[kept] if a.ndim and a.shape[0] == count and "dark" not in n and "white" not in n else a
            for n, a in arrays.items()}  # fmt: skip


def htc(folder: Path) -> tuple[Arrays, list[Run]]:
    """Fan beam, flat detector; degrees of the views as they are."""
    arrays = read_arrays(folder / "htc2022" / "htc2022_tb_fan.npz")
    degrees = arrays["angles_deg"]
    fields = {"start_angle": 180.0, "reversed": True, "shape": (SIDE, SIDE), "pixel": 4 * 0.14832}
    return arrays, [
        (f"htc-{name}", kept, fields)
        for name, kept in (
            ("all", degrees > -1),
            *((f"{n}-degrees", (degrees >= 40) & (degrees <= 40 + n)) for n in (90, 60, 30)),
        )
    ]


def tooth(folder: Path) -> tuple[Arrays, list[Run]]:
    """Parallel beam, raw readings with flat and dark fields, the axis far from the middle."""
    arrays = read_arrays(folder / "tomopy_tooth" / "tooth.h5")
    views = len(arrays["exchange/theta"])
    runs = []
    for count in (views, 60, 30, 15):
        kept = np.zeros(views, bool)
        kept[np.round(np.arange(count) * (views - (count < views)) / count).astype(int)] = True
        runs.append((f"tooth-{count}", kept, {"shape": (SIDE, SIDE), "pixel": 592 / SIDE}))
    return arrays, runs


def dendrite(folder: Path) -> tuple[Arrays, list[Run]]:
    """Parallel beam, a region of interest of 1260 columns with rings."""
    arrays = read_arrays(folder / "tomobar_dendrite" / "RealDataDend.mat")
    arrays = {"sinogram": arrays["sinoRD"].T, "angles_radians": arrays["anglesRad"].ravel()}
    every = np.ones(len(arrays["angles_radians"]), bool)
    some = np.arange(len(every)) % 8 == 0
    fields = {"shape": (SIDE, SIDE), "pixel": 1260 / SIDE}
    return arrays, [("dendrite-360", every, fields), ("dendrite-45", some, fields)]


def neutron(folder: Path) -> tuple[Arrays, list[Run]]:
    """A full turn of a neutron camera, transmission."""
    arrays = read_arrays(folder / "sarepy_neutron" / "sinogram_360_neutron_image.tif")
    arrays["angles_degrees"] = np.linspace(0, 360, arrays["sinogram"].shape[0])
    every = np.ones(arrays["sinogram"].shape[0], bool)
    some = np.arange(len(every)) % 8 == 0
    fields = {"quantity": "counts", "shape": (SIDE, SIDE), "pixel": 503 / SIDE}
    return arrays, [("neutron-459", every, fields), ("neutron-58", some, fields)]


SCANS: dict[str, Callable[[Path], tuple[Arrays, list[Run]]]] = {
    "dendrite": dendrite,
    "htc": htc,
    "neutron": neutron,
    "tooth": tooth,
}


def matthews(image: np.ndarray, truth: np.ndarray) -> float:
    """The challenge's score: correlation of the image's Otsu threshold with the true segmentation."""
    enlarged = resize(image, truth.shape, order=1)
    return float(np.corrcoef((enlarged > threshold_otsu(enlarged)).ravel(), truth.ravel())[0, 1])


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """dB, over the circle that every view sees, after the factor that fits best."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    a, b = image[np.hypot(rows, columns) < 0.95], reference[np.hypot(rows, columns) < 0.95]
    a = a * (a @ b) / max(float(a @ a), 1e-30)
    return float(10 * np.log10(np.quantile(b, 0.999) ** 2 / np.mean((a - b) ** 2)))


def reconstructed(label: str, arrays: Arrays, fields: dict[str, Any], samples: int) -> Arrays:
    """The image of each method, and as `reference` the Hann-windowed back-projection."""
    config = ct_demo.get_config()
    config.sampler.samples, config.interval.draws = samples, 0
    config.scan.update(fields)
    scan = make_scan(label, arrays, config)
    print(f"{label}: scaled by {scan.scale:.3g} {scan.unit}; " + "; ".join(scan.notes), flush=True)
    prior = padded(build.load_prior(config.prior))
    operator, y = scan.measurement.operator, scan.measurement.y
    reference = jax.jit(lambda o, y: o.transform.fbp(y, o.mask, "hann"))(operator, y)
    with tqdm(total=len(config.baselines) + samples, desc=label) as bar:
        methods = reconstruct.methods_of(config, prior)
        images = {key: method(Task(scan), bar).mean for key, method in methods.items()}
    return {key: np.asarray(image)[..., 0] for key, image in ({"reference": reference} | images).items()}


def run(name: str, folder: Path, workdir: Path, samples: int) -> list[dict[str, Any]]:
    """All runs of one scan; the first, from all views, is what the others are compared with."""
    arrays, runs = SCANS[name](folder)
    segmentation = imread(folder / "htc2022" / "htc2022_tb_segmentation.png") > 0 if name == "htc" else None
    rows, pictures = [], []
    for label, kept, fields in runs:
        path = workdir / f"{label}.npz"
        if not path.exists():
            add_arrays(path, reconstructed(label, of_views(arrays, kept), fields, samples))
        images = read_arrays(path)
        own = images.pop("reference")
        reference = own if not rows else reference
        for key, image in images.items():
            row = {"scan": label, "method": key, "views": int(np.sum(kept)), "psnr": round(psnr(image, reference), 2)}
            row["mcc"] = "" if segmentation is None else round(matthews(image, segmentation), 4)
            rows.append(row)
            print(row, flush=True)
        pictures.append((label, images))
    draw(workdir / f"{name}.png", pictures)
    return rows


def draw(path: Path, pictures: list[tuple[str, Arrays]]) -> None:
    """One row for each run, one column for each method; the grey scale is the same for all."""
    figure, grid = plt.subplots(
        len(pictures), len(pictures[0][1]), figsize=(3 * len(pictures[0][1]), 3.15 * len(pictures)), squeeze=False
    )
    for axes, (label, images) in zip(grid, pictures, strict=True):
        for one, (key, image) in zip(axes, images.items(), strict=True):
            one.imshow(image, cmap="gray", vmin=0, vmax=1)
            one.set_title(f"{label}, {key}", fontsize=10)
            one.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workdir", type=Path, default=Path("runs/real_ct"))
    parser.add_argument("--scans", nargs="+", choices=sorted(SCANS), default=sorted(SCANS))
    parser.add_argument("--samples", type=int, default=2)
    arguments = parser.parse_args(argv)
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    for name in arguments.scans:
        try:
            rows = run(name, arguments.folder, arguments.workdir, arguments.samples)
        except ValueError as error:
            sys.exit(f"error: {error}")
        with (arguments.workdir / f"{name}.csv").open("w") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
