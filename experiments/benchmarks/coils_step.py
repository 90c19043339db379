"""A slice of 256 x 256 and 8 coils: seconds of a draw of the default, and what a step takes beyond its network.

python experiments/benchmarks/coils_step.py
"""

import argparse
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from configs import mri_demo
from scoreinv import build
from scoreinv.build.tasks import fitted_prior
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.mri import SenseTransform
from scoreinv.operators.mri_masks import equispaced_mask
from scoreinv.samplers.data_terms import data_step


def scene(side, coils):
    """A measurement at 4x of a smooth object with a phase, by coils around it."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, side),) * 2, indexing="ij")
    angles = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    maps = np.exp(-((columns - 1.15 * np.cos(angles)) ** 2 + (rows - 1.15 * np.sin(angles)) ** 2) + 1j * angles)
    maps = (maps / np.linalg.norm(maps, axis=0)).astype(np.complex64)
    image = (
        np.clip(1.2 - 1.6 * (rows**2 + columns**2), 0, 1) * (1 + 0.2 * np.sin(9 * rows) * np.cos(11 * columns)) / 1.2
    )
    x = jnp.asarray(np.stack([image * np.cos(rows), image * np.sin(rows)], -1), jnp.float32)
    operator = LinearOperator(equispaced_mask((side, side), 4), SenseTransform(jnp.asarray(maps), axes=(-1,)))
    return x, simulate(jax.random.key(0), operator, x, 0.01)


def seconds(function, *arguments, repeats, clock):
    """Median time of a compiled function by a clock."""
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    found = []
    for _ in range(repeats):
        started = clock()
        jax.block_until_ready(compiled(*arguments))
        found.append(clock() - started)
    return float(np.median(found))


def clock_of(flags):
    """The clock that --cpu chooses."""
    return time.process_time if flags.cpu else time.perf_counter


def main():
    """Prints the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--cpu", action="store_true", help="time of the processor, which other work does not lengthen")
    flags = parser.parse_args()
    timed = partial(seconds, clock=clock_of(flags))
    x, measurement = scene(flags.side, flags.coils)
    config, bundled = mri_demo.get_config(), build.load_prior("brain-mri")
    prior, t = fitted_prior(config, bundled, x.shape), jnp.float32(0.3)
    make, settings = build.sampler(config.sampler, measurement)
    calls = build.network_calls(make, settings)
    start = timed(make.start, measurement, repeats=2)
    settings["first"] = jax.jit(make.start)(measurement)
    draw = timed(lambda p, s, m, k: make(p, s)(k, m), prior, settings, measurement, jax.random.key(0), repeats=2)
    network = timed(lambda p, x: p.score_fn(x, t), bundled, x[..., :1], repeats=7)
    phase = timed(lambda p, x: p.score_fn(x, t), prior, x, repeats=7) - network
    step = timed(lambda m, x: data_step(m.operator, m.y - m.operator(x), 0.01, 5), measurement, x, repeats=7)
    print(f"first image {start:.2f} s, draw of {calls} calls {draw:.2f} s")
    print(f"a call: network {network:.3f} s, smoothed phase {phase:.3f} s, data step {step:.3f} s")
    print(f"a step beyond its network: {100 * (draw / calls / network - 1):.0f} %")


if __name__ == "__main__":
    main()
