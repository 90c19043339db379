"""Unconditional samples of a prior as one grey picture: what it knows of an anatomy.

python -m experiments.samples body-ct docs/samples-body-ct.png
"""

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.image import imsave

from scoreinv.build import load_prior
from scoreinv.formats.files import write_atomically
from scoreinv.prior import Prior
from scoreinv.samplers.base import integrate
from scoreinv.samplers.solvers import heun, noise_to_signal
from scoreinv.samplers.times import karras_times


@jax.jit
def sample(prior: Prior, key, times):
    """One sample by Heun's method from the prior's noise at t = 1."""
    start_key, key = jax.random.split(key)
    return integrate(heun(prior), key, prior.sde.prior_sample(start_key, prior.shape), times)


def tiled(images: np.ndarray, columns: int) -> np.ndarray:
    """Images [N, H, W, 1] of [0, 1] as bytes [rows H, columns W], row by row; missing tiles are black."""
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    tiles = np.zeros((rows * columns, height, width), np.uint8)
    tiles[:count] = np.round(255 * np.clip(images[..., 0], 0.0, 1.0))
    return tiles.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prior", help="a bundled prior, a prior file or a training's work directory")
    parser.add_argument("picture", type=Path, help="the file to write, .png")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=18, help="of Heun's method, two network calls each")
    options = parser.parse_args(argv)
    try:
        prior = load_prior(options.prior)
        bottom, top = (noise_to_signal(prior.sde, jnp.float32(t)) for t in (1e-3, 1.0))
        times = karras_times(prior.sde, options.steps, bottom, top)
        keys = jax.random.split(jax.random.key(0), options.samples)
        images = np.stack([np.asarray(sample(prior, key, times)) for key in keys])
        tiles = tiled(images, columns=4)
        write_atomically(options.picture, lambda path: imsave(path, tiles, cmap="gray", vmin=0, vmax=255))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
