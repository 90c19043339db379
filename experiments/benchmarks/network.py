"""NCSN++ against the published network's operations: time, compile time and memory, in one interleaved run.

    python experiments/benchmarks/network.py [--sides 64 128 320] [--repeats 5] [--no-step] [--train]

Both networks have the paper's CT configuration (nf 32, multipliers 1,1,2,2,2,2,2, 2 blocks) at every side, the same
random parameters, and the same training step (denoising score matching, Adam). Every round times each program once, so
that all see the same machine; compile times are wall and processor seconds of a cold compilation. `--train` times the
training step of configs/default.py instead (at the defaults or with `--nf`, `--batch`, `--dtype`, `--remat`) and, on a
GPU that is in the table below, gives the fraction of its bfloat16 peak from the operations that XLA counts.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import flax.serialization
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from configs import default, train_body_ct
from experiments.benchmarks import published_ncsnpp
from scoreinv import build, parallel
from scoreinv.models.score_sde_import import import_score_sde
from scoreinv.training import optimization, throughput
from scoreinv.training.batches import draw_from_pool

PAPER = {
    **{"nf": 32, "ch_mult": [1, 1, 2, 2, 2, 2, 2], "num_res_blocks": 2, "num_channels": 1, "conditional": True},
    **{"resblock_type": "biggan", "fir": True, "fir_kernel": [1, 3, 3, 1], "resamp_with_conv": True},
    **{"progressive": "output_skip", "progressive_input": "input_skip", "progressive_combine": "sum"},
    **{"embedding_type": "fourier", "fourier_scale": 16, "skip_rescale": True, "nonlinearity": "swish"},
    **{"scale_by_sigma": True, "data_centered": False, "init_scale": 0.0},
}
# Dense bfloat16 operations per second, from the makers' data sheets, by what JAX calls the device.


def networks(config):
    """{name: (forward (params, x, sigma), params)} of the published operations and of ours, equal parameters."""
    state = published_ncsnpp.random_checkpoint(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint_1"
        path.write_bytes(flax.serialization.msgpack_serialize(state))
        model, params = import_score_sde(path, config)
    flat = flax.traverse_util.flatten_dict(state["params_ema"], sep="/")
    return {
        "published": (lambda p, x, sigma: published_ncsnpp.forward(p, config, x, sigma), flat),
        "ours": (lambda p, x, sigma: model.apply({"params": p}, x, sigma), jax.tree.map(jnp.asarray, params)),
    }


def training_step(forward, optimizer):
    """(params, optimizer state, clean images, noise, sigma) -> the first two, updated."""

    def step(params, opt_state, x, z, sigma):
        def loss(params):
            scale = sigma[:, None, None, None]
            return jnp.mean((scale * forward(params, x + scale * z, sigma) + z) ** 2)

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return step


def compiled(fn, *args):
    """(program, seconds of tracing and compiling, processor seconds of both, MiB of temporary memory)."""
    wall, cpu = time.perf_counter(), time.process_time()
    program = jax.jit(fn).lower(*args).compile()
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return program, *spent, program.memory_analysis().temp_size_in_bytes / 2**20


def interleaved(programs, repeats):
    """Seconds of each program in every round, taken in turns after a warm-up."""
    seconds = {name: [] for name in programs}
    for _ in range(repeats + 1):
        for name, run in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def compare(side, repeats, with_step):
    """Prints the rows of one side."""
    config = {**PAPER, "image_size": side, "attn_resolutions": [side // 16]}
    x = jax.random.uniform(jax.random.key(0), (1, side, side, 1))
    z, sigma = jax.random.normal(jax.random.key(1), x.shape), jnp.ones(1)
    optimizer, outputs = optax.adam(2e-4), {}
    rows: dict[str, dict] = {"forward": {}, "training step": {}}
    for name, (forward, params) in networks(config).items():
        program, *costs = compiled(forward, params, x, sigma)
        rows["forward"][name] = (lambda program=program, p=params: program(p, x, sigma), costs)
        outputs[name] = np.asarray(program(params, x, sigma))
        if with_step:
            state = (params, optimizer.init(params))
            program, *costs = compiled(training_step(forward, optimizer), *state, x, z, sigma)
            rows["training step"][name] = (lambda program=program, s=state: program(*s, x, z, sigma), costs)
    error = np.abs(outputs["ours"] - outputs["published"]).max() / np.ptp(outputs["published"])
    for what, programs in rows.items():
        if not programs:
            continue
        seconds = interleaved({name: run for name, (run, _) in programs.items()}, repeats)
        ratios = [a / b for a, b in zip(seconds["published"], seconds["ours"], strict=True)]
        cells = [f"{1e3 * statistics.median(seconds[n]):.0f}" for n in programs]
        cells += [f"**{statistics.median(ratios):.2f}**"]
        cells += [f"{wall:.1f} ({cpu:.1f})" for _, (wall, cpu, _) in programs.values()]
        cells += [f"{memory:.0f}" for _, (*_, memory) in programs.values()]
        print(f"| {side} | {what} | " + " | ".join(cells) + f" | {error:.0e} |", flush=True)


def train_speed(changes, repeats):
    """Prints images/s of the training step of the bundled priors, and the fraction of a GPU's peak."""
    config = train_body_ct.get_config()
    config.model.update(changes["model"])
    config.train.update(changes["train"])
    settings, trained = build.training_settings(config), build.model(config.model)
    optimizer, steps = optimization.make_optimizer(settings.descent), settings.steps_per_call
    crop = (config.data.crop, config.data.crop, config.model.num_channels)
    state = optimization.init_state(
        lambda key: trained.init(key, jnp.zeros((1, *crop)), jnp.ones(1))["params"], optimizer, jax.random.key(0)
    )
    images = np.random.default_rng(1).random((64, config.data.size, config.data.size, 1)).astype(np.float16)
    draw = draw_from_pool(
        settings.batch_size // jax.device_count(), config.data.crop, build.appearance(config.data, crop[2])
    )
    step = optimization.make_train_step(build.loss(config, trained)[0], optimizer, draw, settings.ema, steps)
    state, images = parallel.replicate(state), parallel.shard(images)
    rates = np.full(steps, config.train.learning_rate, np.float32)
    wall, cpu = time.perf_counter(), time.process_time()
    program = step.lower(state, images, rates).compile()
    compile_times = f"{time.perf_counter() - wall:.1f} s ({time.process_time() - cpu:.1f} s of processor)"
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        state = jax.block_until_ready(program(state, images, rates))
        seconds.append(time.perf_counter() - start)
    fastest = min(seconds[1:])
    print(f"{jax.device_count()} x {jax.devices()[0].device_kind}; model {dict(config.model)}")
    speed = settings.batch_size * steps / fastest
    print(f"compile {compile_times}; {speed:.1f} images/s; loss {state.loss[0].item():.3f}")
    print(f"temporary memory {program.memory_analysis().temp_size_in_bytes / 2**20:.0f} MiB per device")
    peak = throughput.peak(jax.devices()[0].device_kind)
    # XLA counts one pass of a loop, and one device.
    operations = program.cost_analysis()["flops"]
    print(f"{operations * steps / fastest / 1e12:.3f} Tflop/s per device by XLA's count", end="")
    print(f" = {operations * steps / fastest / peak:.1%} of the bfloat16 peak" if peak else "")


def main():
    """Prints the tables."""
    defaults = default.get_config()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 320])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-step", action="store_true", help="leave out the training step")
    parser.add_argument("--train", action="store_true", help="time training of configs/default.py instead")
    parser.add_argument("--nf", type=int, default=defaults.model.nf)
    parser.add_argument("--batch", type=int, default=defaults.train.batch_size)
    parser.add_argument("--steps-per-call", type=int, default=defaults.train.steps_per_call)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--remat", action="store_true")
    flags = parser.parse_args()
    if flags.train:
        model = {"nf": flags.nf, "dtype": flags.dtype, "remat": flags.remat}
        train = {"batch_size": flags.batch, "steps_per_call": flags.steps_per_call}
        train_speed({"model": model, "train": train}, flags.repeats)
        return
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, batch 1, median of {flags.repeats} rounds\n")
    print(
        "| side | program | published, ms | ours, ms | × | published compiles, s (processor) | ours compiles "
        "| published, MiB | ours, MiB | error of range |\n|---:|---|" + "---:|" * 8
    )
    for side in flags.sides:
        compare(side, flags.repeats, not flags.no_step)


if __name__ == "__main__":
    main()
