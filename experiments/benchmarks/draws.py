"""Seconds a draw of the default sampler takes, against TV, by image side: MRI of 1 and 8 coils and CT.

    python experiments/benchmarks/draws.py [--sides 128 256 512] [--calls 40] [--repeats 3] [--only "8 coils"]

Phantoms of ellipses with the bundled priors; the start (once for all draws of a scan) is timed by itself. Every program
is compiled before it runs `--repeats` times; the table has the fastest and, in brackets, the median.
"""

import argparse
import resource
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from configs import ct_demo, mri_demo
from scoreinv import build
from scoreinv.baselines.tv import tv, tv_start
from scoreinv.operators import ct, mri, mri_masks
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.simulation.phantoms import random_ellipses

COILS = 8


def coil_maps(side):
    """Smooth sensitivities of eight coils around the object, [coils, H, W]."""
    row, column = np.mgrid[:side, :side] / side - 0.5
    angles = 2 * np.pi * np.arange(COILS) / COILS
    distance = [(row - 0.6 * np.sin(a)) ** 2 + (column - 0.6 * np.cos(a)) ** 2 for a in angles]
    maps = np.stack([np.exp(-3 * d) * np.exp(1j * a) for d, a in zip(distance, angles, strict=True)])
    return jnp.asarray(maps / np.sqrt((np.abs(maps) ** 2).sum(0)), jnp.complex64)


def operators(side):
    """{name: (configuration, operator, noise)} of the measurements."""
    lines = mri_masks.equispaced_mask((side, side), 4, 0.04)
    views = 23 * side // 128
    return {
        "MRI 4x, 1 coil": (mri_demo, LinearOperator(lines, mri.FourierTransform()), 0.03),
        f"MRI 4x, {COILS} coils": (mri_demo, LinearOperator(lines, mri.SenseTransform(coil_maps(side), 1)), 0.03),
        f"CT, {views} views": (
            ct_demo,
            LinearOperator(jnp.ones((views, 1)), ct.radon_transform(ct.uniform_angles(views), (side, side))),
            0.2,
        ),
    }


def timed(fn, repeats, *args):
    """ "fastest (median)" seconds of a function once compiled, and the seconds of compiling it."""
    started = time.perf_counter()
    program = jax.jit(fn).lower(*args).compile()
    compiling = time.perf_counter() - started
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(program(*args))
        seconds.append(time.perf_counter() - started)
    return f"{min(seconds):.2f} ({statistics.median(seconds):.2f})", compiling


def one_draw(make, prior, settings, measurement):
    """One draw of the sampler."""
    return make(prior, settings)(jax.random.key(2), measurement)


def rows(side, calls, repeats, only):
    """Prints the rows of one side whose measurement is called like `only`."""
    image = random_ellipses(jax.random.key(0), (side, side))
    for name, (demo, operator, noise_std) in operators(side).items():
        if only not in name:
            continue
        config = demo.get_config()
        config.sampler.calls = calls
        measurement = jax.jit(simulate)(jax.random.key(1), operator, image, noise_std)
        prior = build.load_prior(config.prior)
        make, settings = build.sampler(config.sampler, measurement)
        settings = settings | {"first": jax.jit(make.start)(measurement)}
        lam, iterations = config.baseline_settings.tv.lam, config.baseline_settings.tv.iterations
        draw, compiling = timed(partial(one_draw, make), repeats, prior, settings, measurement)
        start, _ = timed(tv_start, repeats, measurement)
        baseline = partial(tv(lam=lam, iterations=iterations), jax.random.key(0))
        total, _ = timed(baseline, repeats, measurement)
        print(f"| {side} | {name} | {draw} | {start} | {total} | {compiling:.0f} | {peak_gib():.2f} |", flush=True)


def peak_gib():
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="part of a measurement's name: 1 coil, 8 coils, CT")
    flags = parser.parse_args()
    print(f"jax {jax.__version__}, {len(jax.devices())} x {jax.devices()[0].device_kind}, {flags.calls} calls a draw\n")
    print("| side | measurement | a draw, s | its start, s | TV, s | compiling, s | peak, GiB |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for side in flags.sides:
        rows(side, flags.calls, flags.repeats, flags.only)


if __name__ == "__main__":
    main()
