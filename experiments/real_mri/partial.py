"""Partial Fourier on a fully sampled real scan: zero-filled, POCS, total variation and the prior.

python -m experiments.real_mri.partial --scan=full.cfl

Columns to one side of the zero frequency are left out. k-space of an image with a smooth phase is nearly Hermitian:
POCS imposes the phase of the symmetrically measured centre and the data in turns (Haacke et al. 1991), the prior
follows the image's own smoothed phase. What is compared is the magnitude, with all of k-space combined by the same
sensitivities; the scan's noise is in it. Writes partial.md and partial.png.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from configs import mri_demo
from experiments.real_mri.__main__ import figure_of, prior_method
from scoreinv.baselines.direct import direct
from scoreinv.baselines.tv import tv
from scoreinv.build.scans import read_file
from scoreinv.evaluation import metrics
from scoreinv.operators.base import Measurement
from scoreinv.operators.mri import fft2c, ifft2c
from scoreinv.scans.kspace import KSpaceSettings, gridded, retrospective_scan

CENTRE = 24
# name -> which columns of so many are measured
MASKS = {
    "5/8": lambda columns: columns >= -len(columns) // 8,
    "6/8, every 2nd": lambda columns: (
        (columns >= -len(columns) // 4) & ((columns % 2 == 0) | (np.abs(columns) < CENTRE // 2))
    ),
}


def pocs(measurement: Measurement, reach: int, iterations: int = 30) -> Float[Array, "H W 2"]:
    """Projections onto the images with the phase of the centre and onto the data, in turns (Haacke et al. 1991).

    Args:
        measurement: of a complex image.
        reach: columns that are measured to both sides of the zero frequency.
        iterations: number of turns.
    """
    y, operator, _ = measurement
    height, width = operator.transform.coils.shape[1:]
    x = operator.inverse(y)
    window = np.zeros(width)
    window[width // 2 - reach : width // 2 + reach + 1] = np.hanning(2 * reach + 3)[1:-1]
    smooth = ifft2c(
        jnp.asarray(np.hanning(height + 2)[1:-1, None] * window) * fft2c(jax.lax.complex(x[..., 0], x[..., 1]))
    )
    phase = jnp.stack([smooth.real, smooth.imag], -1) / jnp.maximum(jnp.abs(smooth), 1e-9)[..., None]
    for _ in range(iterations):
        x = jnp.linalg.norm(x, axis=-1, keepdims=True) * phase
        x = x + operator.inverse(y - operator(x))
    return x


def main(arguments: list[str] | None = None) -> None:
    """Reconstructs each kind of partial k-space by each method; prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", required=True, help="fully sampled k-space, any file that a measurement may be")
    parser.add_argument("--workdir", default="runs/real_mri")
    flags = parser.parse_args(arguments)
    folder, config, settings = Path(flags.workdir), mri_demo.get_config(), KSpaceSettings()
    config.sampler.samples = 1
    full = gridded(read_file(Path(flags.scan), config), settings)
    rows, pictures = ["| columns measured | zero-filled | POCS | TV | scoreinv |", "|---|---|---|---|---|"], {}
    for name, chosen in MASKS.items():
        width = full.measured.shape[1]
        columns = np.arange(width) - width // 2
        images, truth = reconstructed(full, chosen(columns), settings, config)
        scores = [f"{float(metrics.psnr(x, truth)):.2f}" for x in images.values()]
        rows.append("| " + " | ".join([name, *scores]) + " |")
        pictures[name] = {"all of k-space": truth} | images
        print(rows[-1], flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "partial.md").write_text("\n".join(rows) + "\n")
    shown = [{caption: np.asarray(metrics.magnitude(x)) for caption, x in row.items()} for row in pictures.values()]
    figure_of(shown).savefig(folder / "partial.png", dpi=110)


def reconstructed(full, measured: Bool[np.ndarray, " W"], settings: KSpaceSettings, config):
    """Images by method, and that of all samples."""
    mask = np.broadcast_to(measured, full.measured.shape)
    scan, truth = retrospective_scan("partial", full, mask, settings)
    measurement, key = scan.measurement, jax.random.key(0)
    reach = len(measured) // 2 - int(np.flatnonzero(measured)[0])
    images = {
        "zero-filled": direct()(key, measurement),
        "POCS": jax.jit(lambda m: pocs(m, reach))(measurement),
        "TV": jax.jit(lambda m: tv(lam=0.003, iterations=100)(key, m))(measurement),
        "scoreinv": prior_method(config, scan)[0],
    }
    return images, truth


if __name__ == "__main__":
    main()
