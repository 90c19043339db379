"""Training driver: slices in, checkpoints and a shippable prior out."""

import dataclasses
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from absl import logging
from tqdm import tqdm

from scoreinv import build, checkpoints, parallel
from scoreinv.data.slices import load_slices


@flax.struct.dataclass
class TrainState:
    """Everything a run needs to continue: a pytree of arrays."""

    step: Any
    params: Any
    ema: Any
    opt_state: Any
    key: Any


def random_crop_and_flip(key, image, crop):
    """A random crop [crop, crop, C] of one image, mirrored left-right or up-down half of the time each."""
    key_offset, key_flip = jax.random.split(key)
    room = jnp.array([image.shape[0] - crop + 1, image.shape[1] - crop + 1])
    offset = jax.random.randint(key_offset, (2,), 0, room)
    patch = jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), (crop, crop, image.shape[2]))
    flip = jax.random.bernoulli(key_flip, 0.5, (2,))
    patch = jnp.where(flip[0], patch[::-1], patch)
    return jnp.where(flip[1], patch[:, ::-1], patch)


def make_optimizer(config) -> optax.GradientTransformation:
    """Adam with linear warm-up, optional cosine decay to zero, and clipping by global norm."""
    steps = max(config.steps, config.warmup + 1)
    if config.decay == "cosine":
        schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, steps)
    else:
        schedule = optax.linear_schedule(0.0, config.learning_rate, config.warmup)
    adam = optax.adam(schedule, b1=config.adam_beta1, b2=config.adam_beta2, eps=config.adam_eps)
    return optax.chain(optax.clip_by_global_norm(config.clip), adam)


def init_state(model, optimizer, shape, key) -> TrainState:
    """A fresh state: initialised parameters, their copy as average, empty optimizer moments."""

    @jax.jit  # one program; run operation by operation, every layer would compile on its own
    def init(key):
        key_init, key = jax.random.split(key)
        params = model.init(key_init, jnp.zeros((1, *shape)), jnp.ones(1))["params"]
        return TrainState(jnp.zeros((), jnp.int32), params, params, optimizer.init(params), jax.random.key_data(key))

    return init(key)


def make_train_step(config, loss_fn, optimizer):
    """A data-parallel function (state, images) -> (state, loss) that makes `train.steps_per_call` updates.

    Every random choice is a function of (key, step, device), so a resumed run repeats the one that was not interrupted.
    """
    per_device = config.train.batch_size // jax.device_count()

    def one_step(images, state, _):
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        key = jax.random.fold_in(key, jax.lax.axis_index(parallel.AXIS))
        key_index, key_crop, key_loss = jax.random.split(key, 3)
        index = jax.random.randint(key_index, (per_device,), 0, images.shape[0])
        crop = jax.vmap(partial(random_crop_and_flip, crop=config.data.crop))
        batch = crop(jax.random.split(key_crop, per_device), images[index].astype(jnp.float32))
        keys = jax.random.split(key_loss, per_device)

        def mean_loss(params):
            return jnp.mean(jax.vmap(loss_fn, (0, None, 0))(keys, params, batch))

        loss, grads = jax.value_and_grad(mean_loss)(state.params)
        loss, grads = jax.lax.pmean((loss, grads), parallel.AXIS)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(config.train.ema, (1 + state.step) / (10 + state.step))
        ema = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, state.ema, params)
        return TrainState(state.step + 1, params, ema, opt_state, state.key), loss

    def call(state, images):
        if config.train.steps_per_call == 1:
            # No loop: XLA's CPU backend runs convolution gradients inside a loop up to 100 times slower.
            return one_step(images, state, None)
        state, loss = jax.lax.scan(partial(one_step, images), state, length=config.train.steps_per_call)
        return state, jnp.mean(loss)

    return parallel.data_parallel(call)


def make_validation(config, loss_at, images):
    """A function ema -> {sigma: loss} on fixed images and fixed noise."""
    sigmas = jnp.asarray(config.train.validation_sigmas)
    keys = jax.random.split(jax.random.key(0), images.shape[0])

    @jax.jit
    def at(params, sigma):
        return jnp.mean(
            jax.lax.map(lambda args: loss_at(args[0], params, args[1], sigma), (keys, images), batch_size=8)
        )

    return lambda params: {f"{float(s):g}": float(at(params, s)) for s in sigmas}


def train(config, workdir: Path) -> None:
    """Trains a prior on `config.data`, continuing from the newest checkpoint in `workdir`.

    Writes checkpoints (orbax), `losses.csv` and `prior.safetensors` (the averaged parameters) into `workdir`.

    Args:
        config: the whole configuration.
        workdir: directory of the run; created if missing.

    Raises:
        ValueError: unusable data or settings, or a work directory made by another network.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
    """
    if config.train.batch_size % jax.device_count():
        raise ValueError(
            f"train.batch_size={config.train.batch_size} must be a multiple of {jax.device_count()} devices"
        )
    checkpoints.claim_workdir(workdir, config.model.to_dict())
    images = load_slices(config.data, "train", config.seed).images
    whole = load_slices(config.data, "validation").images
    held_out = jnp.asarray(whole[:: max(1, len(whole) // config.train.validation_images)])
    logging.info("%d training views, %d validation slices", len(images), len(held_out))

    model = build.model(config.model)
    optimizer = make_optimizer(config.train)
    shape = (config.data.crop, config.data.crop, images.shape[-1])
    state = init_state(model, optimizer, shape, jax.random.key(config.seed))
    if config.train.init_from:
        params = checkpoints.load_params(config.train.init_from, state.params)
        state = dataclasses.replace(state, params=params, ema=params)
    with checkpoints.Manager(workdir, keep=config.train.keep_checkpoints) as manager:
        state = manager.restore_latest(state)
        _loop(config, workdir, manager, model, optimizer, state, jnp.asarray(images, jnp.float16), held_out)


def _loop(config, workdir, manager, model, optimizer, state, images, held_out):
    loss_fn, loss_at = build.loss(config, model)
    step_fn = make_train_step(config, loss_fn, optimizer)
    validate = make_validation(config, loss_at, held_out)
    stop = _stop_on_sigterm()
    replicated, images = parallel.replicate(state), parallel.replicate(images)
    step, started = int(state.step), time.monotonic()
    bar = tqdm(total=config.train.steps, initial=step, desc="training", unit="step", mininterval=5)
    while step < config.train.steps and not stop:
        replicated, loss = step_fn(replicated, images)
        step, loss = step + config.train.steps_per_call, float(loss[0])
        if not loss == loss:
            raise FloatingPointError(f"loss is NaN at step {step}; the last good checkpoint is step {manager.latest()}")
        rate = (
            config.train.batch_size * (bar.n - bar.initial + config.train.steps_per_call) / (time.monotonic() - started)
        )
        bar.update(config.train.steps_per_call)
        bar.set_postfix_str(f"loss {loss:.4f}, {rate:.1f} images/s")
        if step % config.train.checkpoint_every < config.train.steps_per_call:
            _save(config, workdir, manager, model, parallel.first(replicated), loss, validate)
    bar.close()
    _save(config, workdir, manager, model, parallel.first(replicated), None, validate)


def _save(config, workdir, manager, model, state, loss, validate):
    """Checkpoint, validation losses and the prior file, all of the same step."""
    manager.save(state)
    by_noise = validate(state.ema)
    logging.info("step %d: validation loss by sigma %s", state.step, by_noise)
    checkpoints.append_csv(workdir / "losses.csv", {"step": int(state.step), "train": loss, **by_noise})
    checkpoints.save_prior(workdir / "prior.safetensors", state.ema, build.prior_metadata(config))


def _stop_on_sigterm() -> list:
    """A list that SIGTERM makes non-empty, so that the loop saves and ends at the next step."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    return stop
