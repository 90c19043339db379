"""A spiral scan of 8 coils: seconds of A^H A and of a draw of the default, by transforms of the samples and by FFTs.

python -m experiments.benchmarks.spiral

A mask of ones for every sample, instead of one for all, makes every method transform to the samples and back.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from configs import mri_demo
from experiments.benchmarks.coils_step import clock_of, scene, seconds
from scoreinv import build
from scoreinv.build.tasks import fitted_prior
from scoreinv.operators import noncartesian
from scoreinv.operators.base import LinearOperator, simulate


def spiral(interleaves, samples, side):
    """Positions [interleaves * samples, 2] of Archimedean spirals whose turns lie 1 / side apart."""
    radius = 0.5 * np.sqrt(np.arange(samples) / samples)
    turns = 0.5 * side / interleaves
    angle = 2 * np.pi * (turns * radius / 0.5 + np.arange(interleaves)[:, None] / interleaves)
    positions = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return jnp.asarray(positions.reshape(-1, 2), jnp.float32)


def main():
    """Prints the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--interleaves", type=int, default=60)
    parser.add_argument("--samples", type=int, default=1182)
    parser.add_argument("--cpu", action="store_true", help="time of the processor, which other work does not lengthen")
    flags = parser.parse_args()
    clock, shape = clock_of(flags), (flags.side, flags.side)
    x, cartesian = scene(flags.side, flags.coils)
    positions = spiral(flags.interleaves, flags.samples, flags.side)
    weights = noncartesian.density_compensation(positions, shape)
    spectrum = noncartesian.toeplitz_spectrum(weights, positions, shape)
    maps = cartesian.operator.transform.coils
    transform = noncartesian.NonCartesianTransform(positions, jnp.sqrt(weights), spectrum, maps)
    config = mri_demo.get_config()
    prior = fitted_prior(config, build.load_prior("brain-mri"), x.shape)
    for name, mask in (("FFTs", jnp.ones((1, 1))), ("samples", jnp.ones((1, len(positions))))):
        measurement = simulate(jax.random.key(0), LinearOperator(mask, transform), x, 0.01)
        make, settings = build.sampler(config.sampler, measurement)
        normal = seconds(lambda m, x: m.operator.normal(x), measurement, x, repeats=7, clock=clock)
        start = seconds(make.start, measurement, repeats=1, clock=clock)
        settings["first"] = jax.jit(make.start)(measurement)
        key = jax.random.key(0)
        draw = seconds(
            lambda p, s, m, k, make=make: make(p, s)(k, m), prior, settings, measurement, key, repeats=1, clock=clock
        )
        calls = build.network_calls(make, settings)
        print(
            f"by {name}: A^H A {normal:.3f} s, first image {start:.1f} s, draw of {calls} calls {draw:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
