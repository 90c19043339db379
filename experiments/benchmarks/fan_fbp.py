"""fan_fbp.py: filtered back-projection of a fan by rebinning, and without it, from many and from few views of a turn.

    python -m experiments.benchmarks.fan_fbp [--views 23 46 60 90 180 360]

`rebinned` is ours: fan rays are interpolated to parallel ones, between views too. `weighted` back-projects every fan
view by itself (Kak and Slaney 1988, section 3.4.2, linear interpolation on the detector). `parallel` is as many
parallel views over half a turn. The object is the bundled CT slice, projected by the transform; PSNR in dB, no noise.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.datasets.examples import EXAMPLES
from scoreinv.evaluation.metrics import psnr
from scoreinv.operators.ct import radon_transform
from scoreinv.operators.fan import fan_transform
from scoreinv.operators.filters import padded_length, ramp_filter

DISTANCE, COLUMNS = 250.0, 220  # pixels from the source to the axis; columns as wide as a pixel there


def weighted(y: np.ndarray, angles: np.ndarray, side: int) -> np.ndarray:
    """Fan-beam filtered back-projection of a full turn, view by view; the detector is thought at the axis."""
    t = np.arange(COLUMNS) - (COLUMNS - 1) / 2
    n = padded_length(COLUMNS)
    cosine = DISTANCE / np.hypot(DISTANCE, t)
    filtered = np.fft.irfft(np.asarray(ramp_filter(n)) * np.fft.rfft(y * cosine / 2, n, axis=1), n, axis=1)
    u = np.arange(side) - (side - 1) / 2
    v = -u[:, None]
    image = np.zeros((side, side))
    for angle, view in zip(angles, filtered[:, :COLUMNS], strict=True):
        depth = 1 + (u * np.sin(angle) - v * np.cos(angle)) / DISTANCE
        image += np.interp((u * np.cos(angle) + v * np.sin(angle)) / depth, t, view, 0, 0) / depth**2
    return 2 * np.pi / len(angles) * image


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, nargs="+", default=[23, 46, 60, 90, 180, 360])
    x = jnp.asarray(EXAMPLES["spine-ct"]().image)
    side = x.shape[0]
    gamma = np.arctan((np.arange(COLUMNS) - (COLUMNS - 1) / 2) / DISTANCE)
    forward, fbp = jax.jit(lambda t, x: t.forward(x)), jax.jit(lambda t, y: t.inverse(y))
    print("| views | rebinned | weighted | parallel |\n|---:|---:|---:|---:|")
    for views in parser.parse_args().views:
        turn = 2 * np.pi * np.arange(views) / views
        fan = fan_transform(turn, (side, side), gamma, DISTANCE)
        parallel = radon_transform(turn / 2, (side, side), COLUMNS)
        y = forward(fan, x)
        images = (fbp(fan, y), weighted(np.asarray(y), turn, side)[..., None], fbp(parallel, forward(parallel, x)))
        print(f"| {views} | " + " | ".join(f"{float(psnr(jnp.asarray(a), x)):.1f}" for a in images) + " |", flush=True)


if __name__ == "__main__":
    main()
