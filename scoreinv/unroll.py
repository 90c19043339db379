"""Training driver of the supervised comparison: an unrolled network for one measurement operator."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from tqdm import tqdm

from scoreinv import build, checkpoints, parallel
from scoreinv.data.slices import load_slices
from scoreinv.operators.base import simulate
from scoreinv.train import TrainState, make_optimizer, make_train_step


def unroll(config, workdir: Path) -> None:
    """Trains an unrolled network on simulated measurements, continuing from the newest checkpoint in `workdir`.

    Writes checkpoints (orbax), `losses.csv` (mean squared errors) and `unrolled.safetensors` (the averaged parameters,
    for `config.supervised`).

    Args:
        config: the whole configuration; `operator` names the one measurement that the network is for, `unrolled` the
            network, `train` the optimisation, `data` the slices, on which it sees whole images of side `data.size`.
        workdir: directory of the run; created if missing.

    Raises:
        ValueError: unusable data or settings, or a work directory made by another network.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
    """
    config = config.copy_and_resolve_references()
    config.data.crop = config.data.size
    shape = (config.data.size, config.data.size, 1)
    operators = build.operators(config.operator, shape, jax.random.split(jax.random.key(config.seed))[0])
    if len(operators) > 1:
        raise ValueError(f"an unrolled network is trained for one operator, got {len(operators)}; give one value")
    if config.data.size % 2**config.unrolled.levels:
        raise ValueError(f"data.size={config.data.size}; unrolled.levels halves it {config.unrolled.levels} times")
    operator, noise_std = operators[0][1], config.operator.noise_std
    network = build.unrolled_network(config.unrolled)

    def loss(key, params, image):
        measurement = simulate(key, operator, image, noise_std)
        return jnp.mean((network.apply({"params": params}, measurement) - image) ** 2)

    checkpoints.claim_workdir(workdir, config.unrolled.to_dict() | {"operator": operators[0][0]})
    source = build.source(config.data)
    images = load_slices(config.data, "train", config.seed, source).images
    held_out = jnp.asarray(spread_out(load_slices(config.data, "validation", 0, source).images, config.train))
    optimizer = make_optimizer(config.train)

    @jax.jit  # one program; run operation by operation, every layer would compile on its own
    def init(key):
        init_key, key = jax.random.split(key)
        example = simulate(init_key, operator, jnp.zeros(shape), noise_std)
        params = network.init(init_key, example)["params"]
        return TrainState(jnp.zeros((), jnp.int32), params, params, optimizer.init(params), jax.random.key_data(key))

    keys = jax.random.split(jax.random.key(0), len(held_out))
    validate = jax.jit(
        lambda params: jnp.mean(jax.lax.map(lambda pair: loss(pair[0], params, pair[1]), (keys, held_out)))
    )
    with checkpoints.Manager(workdir, keep=config.train.keep_checkpoints) as manager:
        state = manager.restore_latest(init(jax.random.key(config.seed)))
        step_fn = make_train_step(config, loss, optimizer)
        _loop(config, workdir, manager, step_fn, state, jnp.asarray(images, jnp.float16), validate)


def spread_out(images: np.ndarray, config) -> np.ndarray:
    """About `validation_images` of the images, evenly spaced."""
    return images[:: max(1, len(images) // config.validation_images)]


def _loop(config, workdir, manager, step_fn, state, images, validate) -> None:
    replicated, images = parallel.replicate(state), parallel.replicate(images)
    first = int(state.step)
    for step in tqdm(range(first + 1, config.train.steps + 1), desc="training", unit="step", mininterval=5):
        replicated, loss = step_fn(replicated, images)
        if not np.isfinite(float(loss[0])):
            raise FloatingPointError(f"loss is NaN at step {step}; the last good checkpoint is step {manager.latest()}")
        if step % config.train.checkpoint_every == 0 or step == config.train.steps:
            _save(config, workdir, manager, parallel.first(replicated), float(loss[0]), validate)


def _save(config, workdir, manager, state, loss: float, validate) -> None:
    """Checkpoint, validation error and the network's file, all of the same step."""
    manager.save(state)
    error = float(validate(state.ema))
    logging.info("step %d: validation mean squared error %.3g", state.step, error)
    checkpoints.append_csv(workdir / "losses.csv", {"step": int(state.step), "train": loss, "validation": error})
    checkpoints.save_prior(workdir / "unrolled.safetensors", state.ema, {"unrolled": config.unrolled.to_dict()})
