"""Slices of a volume by themselves or together: closeness in all three planes, and how neighbours jump.

python -m experiments.volumes --scan=scan.nii.gz --config=mri_demo --slices=40:88

Every variant is `--mode=reconstruct --config.slices=...` of the same data with other fields of `volume`; one draw, or
as many as --samples. Writes a folder for each variant and results.md; the command continues where it was stopped.
"""

import argparse
import importlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from scoreinv.drivers.reconstruct_volume import reconstruct_volume
from scoreinv.evaluation.metrics import psnr, ssim

VARIANTS = {
    "independent slices": {},
    "shared noise": {"noise": "shared"},
    "coupling 0.4": {"coupling": 0.4},
    "coupling 0.2": {"coupling": 0.2},
    "all planes in turn": {"planes": "all"},
}
PLANES = ("slices", "rows", "columns")


def configuration(flags: argparse.Namespace):
    """The configuration that all variants share."""
    config = importlib.import_module(f"configs.{flags.config}").get_config()
    config.images, config.slices = (flags.scan,), flags.slices
    config.operator.acceleration = (4.0,)
    config.sampler.samples, config.interval.draws = flags.samples, 0
    return config


def scores(image: np.ndarray, truth: np.ndarray) -> dict[str, str]:
    """PSNR / SSIM as means over the planes across each axis, and root mean square differences along the slices.

    Args:
        image: [slices, H, W] in [0, 1].
        truth: the same of the true volume.
    """
    found = {}
    for axis, name in enumerate(PLANES):
        across = (jnp.moveaxis(jnp.asarray(volume), axis, 0)[..., None] for volume in (image, truth))
        pairs = [(x, y) for x, y in zip(*across, strict=True) if y.max() > 0.1]
        means = [np.mean([float(score(*pair)) for pair in pairs]) for score in (psnr, ssim)]
        found[f"across {name}"] = f"{means[0]:.2f} / {means[1]:.3f}"
    for name, values in (("jump of the error", image - truth), ("jump", image)):
        found[name] = f"{np.sqrt(np.mean(np.diff(values, axis=0) ** 2)):.4f}"
    return found


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing in the work directory and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", required=True, help="an image volume, voxels close to cubes")
    parser.add_argument("--config", default="mri_demo")
    parser.add_argument("--slices", default="all")
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--workdir", default="runs/volumes")
    flags = parser.parse_args(arguments)
    rows = {}
    for name in flags.variants.split(","):
        config, folder = configuration(flags), Path(flags.workdir) / name.replace(" ", "-")
        config.volume.update(VARIANTS[name])
        made = reconstruct_volume(config, folder)
        image, truth = (np.load(next(folder.glob(f"*-{kind}.npy"))) for kind in ("image", "truth"))
        seconds = np.mean([float(row["seconds"]) for row in made])
        top = truth.max()
        rows[name] = scores(np.clip(image / top, 0, 1), truth / top) | {"seconds a slice": f"{seconds:.1f}"}
    columns = list(next(iter(rows.values())))
    lines = ["| |" + "|".join(columns) + "|", "|---|" + "---|" * len(columns)]
    lines += [f"| {name} |" + "|".join(row[column] for column in columns) + "|" for name, row in rows.items()]
    text = "\n".join(lines) + "\n"
    (Path(flags.workdir) / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
