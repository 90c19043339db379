"""What a sampler adds to its network: time of a step and memory of a run, at 320 x 320 with the paper's CT network.

python experiments/benchmarks/sampler_step.py
"""

import argparse
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.models.ncsnpp import NCSNpp
from scoreinv.operators import ct, mri, mri_masks
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.prior import Prior
from scoreinv.samplers.conditioning import proximal
from scoreinv.samplers.data_terms import data_step
from scoreinv.samplers.dds import dds
from scoreinv.samplers.dpir import dpir
from scoreinv.samplers.song2022 import song2022
from scoreinv.samplers.times import linear_times
from scoreinv.sde import VESDE


def operators(side):
    """The measurements of the paper: 8x Cartesian MRI and 23-view CT."""
    return {
        "MRI 8x": LinearOperator(mri_masks.equispaced_mask((side, side), 8, 0.04), mri.FourierTransform()),
        "CT 23 views": LinearOperator(jnp.ones((23, 1)), ct.radon_transform(ct.uniform_angles(23), (side, side))),
    }


def interleaved(functions, repeats):
    """Median seconds of each compiled function, taken in turns after a warm-up."""
    seconds = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def step_costs(side, repeats):
    """Prints the time of each data step as a fraction of one network forward."""
    model = NCSNpp(nf=32, ch_mult=(1, 1, 2, 2, 2, 2, 2), num_res_blocks=2, attn_resolutions=(20,), image_size=side)
    x = jax.random.normal(jax.random.key(0), (1, side, side, 1))
    variables = jax.jit(model.init)(jax.random.key(0), x, jnp.ones(1))
    network = jax.jit(model.apply)
    sde, t = VESDE(), jnp.float32(0.5)
    functions = {"network": lambda: network(variables, x, jnp.ones(1))}
    for name, operator in operators(side).items():
        measurement = simulate(jax.random.key(1), operator, x[0], 0.0)

        def paper(x, measurement):
            return proximal(sde, measurement, 1.0)(jax.random.key(2), x, t, t)

        def conjugate_gradients(x, measurement):
            y, operator, _ = measurement
            return x + data_step(operator, y - operator(x), 0.1, 5)

        for method, step in {"song2022": paper, "dpir, 5 CG": conjugate_gradients}.items():
            functions[f"{name}, {method}"] = partial(jax.jit(step), x[0], measurement)
    seconds = interleaved(functions, repeats)
    print("| data step | one network forward = 1 |\n|---|---|")
    for name in list(functions)[1:]:
        print(f"| {name} | {seconds[name] / seconds['network']:.4f} |")


def memory(side):
    """Prints the temporary memory of compiled runs of different lengths."""
    sde = VESDE(0.01, 10.0)
    prior = Prior(sde, lambda x, t: -x / (1 + sde.marginal_prob(t)[1] ** 2), (side, side, 1))
    methods = {
        "song2022": lambda times: song2022(prior, times=times, snr=0.2, lam=1.0),
        "dds": lambda times: dds(prior, times=times, eta=0.85),
        "dpir": lambda times: dpir(prior, times=times),
    }
    print("\n| method, measurement | MiB for 10 steps | for 1000 |\n|---|---|---|")
    for task, operator in operators(side).items():
        measurement = simulate(jax.random.key(1), operator, jnp.zeros((side, side, 1)), 0.0)
        for name, method in methods.items():
            sizes = [
                jax.jit(method(linear_times(sde, steps, 0.01, 10.0))).lower(jax.random.key(0), measurement).compile()
                .memory_analysis().temp_size_in_bytes / 2**20
                for steps in (10, 1000)
            ]  # fmt: skip
            print(f"| {name}, {task} | {sizes[0]:.2f} | {sizes[1]:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    step_costs(arguments.side, arguments.repeats)
    memory(arguments.side)
