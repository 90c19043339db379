"""Slices of a volume by themselves or together: closeness in all three planes, and how neighbours jump.

python -m experiments.volumes --scan=scan.nii.gz --config=mri_demo --slices=40:88

Every variant is `--mode=reconstruct --config.slices=...` of the same data with other fields of `volume`; one draw, or
as many as --samples. Writes a folder for each variant and results.md; the command continues where it was stopped.
"""

import argparse
import importlib
from pathlib import Path

import jax.numpy as jnp
import nibabel
import numpy as np
from jaxtyping import Float

from scoreinv.build.volume_tasks import volume_task
from scoreinv.drivers.reconstruct_volume import reconstruct_volume
from scoreinv.evaluation.metrics import psnr, ssim
from scoreinv.formats.files import write_atomically

VARIANTS = {
    "independent slices": {},
    "shared noise": {"noise": "shared"},
    "coupling 0.4": {"coupling": 0.4},
    "coupling 0.2": {"coupling": 0.2},
    "all planes in turn": {"planes": "all"},
}
PLANES = ("slices", "rows", "columns")


def configuration(flags: argparse.Namespace, scan: Path):
    """The configuration that all variants share."""
    config = importlib.import_module(f"configs.{flags.config}").get_config()
    config.images, config.slices = (str(scan),), flags.slices
    config.operator.acceleration = (4.0,)
    config.sampler.samples, config.interval.draws = flags.samples, 0
    return config


def averaged(path: Path, factors: tuple[int, ...], written: Path) -> Path:
    """A NIfTI file with coarser voxels, each the mean of factors[0] x factors[1] x factors[2] of the source.

    Args:
        path: a NIfTI file of three axes.
        factors: along the axes of the file; what does not fill a voxel at the end of an axis is left out.
        written: the file to write, if it is not there.

    Returns:
        The written file, or the source where every factor is 1.
    """
    if set(factors) == {1} or written.exists():
        return written if written.exists() else path
    source = nibabel.load(path)
    values, affine = np.asarray(source.dataobj, np.float32), source.affine.copy()
    counts = [n // factor for n, factor in zip(values.shape, factors, strict=True)]
    values = values[tuple(slice(n * factor) for n, factor in zip(counts, factors, strict=True))]
    split = values.reshape([side for pair in zip(counts, factors, strict=True) for side in pair])
    affine[:3, 3] += affine[:3, :3] @ (np.array(factors) - 1) / 2
    affine[:3, :3] *= factors
    coarse = nibabel.Nifti1Image(split.mean((1, 3, 5)), affine)
    write_atomically(written, lambda name: nibabel.save(coarse, name))
    return written


def scores(image: Float[np.ndarray, "slices H W"], truth: Float[np.ndarray, "slices H W"]) -> dict[str, str]:
    """PSNR / SSIM as means over the planes across each axis, and root mean square differences along the slices.

    Args:
        image: in [0, 1].
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
    parser.add_argument("--scan", required=True, type=Path, help="an image volume")
    parser.add_argument("--average", default="1,1,1", help="voxels of a NIfTI file averaged along its axes before")
    parser.add_argument("--config", default="mri_demo")
    parser.add_argument("--slices", default="all")
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--variants", default=",".join(VARIANTS), help="all planes in turn need voxels close to cubes")
    parser.add_argument("--workdir", type=Path, default="runs/volumes")
    flags = parser.parse_args(arguments)
    factors = tuple(map(int, flags.average.split(",")))
    scan = averaged(flags.scan, factors, flags.workdir / "volume.nii.gz")
    rows = {}
    for name in flags.variants.split(","):
        config, folder = configuration(flags, scan), flags.workdir / name.replace(" ", "-")
        config.volume.update(VARIANTS[name])
        made = reconstruct_volume(config, folder)
        _, task = volume_task(config)
        maps = (np.load(next(folder.glob(f"*-{kind}.npy"))) for kind in ("image", "truth"))
        image, truth = (np.clip((values - task.offset) / task.scale, 0, 1) for values in maps)
        seconds = np.mean([float(row["seconds"]) for row in made])
        rows[name] = scores(image, truth) | {"true jump": scores(truth, truth)["jump"], "seconds": f"{seconds:.1f}"}
    columns = list(next(iter(rows.values())))
    lines = ["| |" + "|".join(columns) + "|", "|---|" + "---|" * len(columns)]
    lines += [f"| {name} |" + "|".join(row[column] for column in columns) + "|" for name, row in rows.items()]
    text = "\n".join(lines) + "\n"
    (flags.workdir / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
