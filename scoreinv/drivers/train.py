"""Training driver: slices in, checkpoints and a shippable prior out."""

import contextlib
import dataclasses
import itertools
import math
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from tqdm import tqdm

from scoreinv import build, parallel
from scoreinv.datasets.pipeline import random_access, training_batches
from scoreinv.datasets.slices import describe, load_slices, read_slices
from scoreinv.training import checkpoints, optimization
from scoreinv.training.monitor import Monitor


def train(config, workdir: Path) -> None:
    """Trains a prior on `config.data`, continuing from the newest checkpoint in `workdir`.

    Writes checkpoints (orbax), `losses.csv`, TensorBoard scalars, pictures of samples and `prior.safetensors` (the
    averaged parameters) into `workdir`.

    Args:
        config: the whole configuration.
        workdir: directory of the run; created if missing.

    Raises:
        ValueError: unusable data or settings, or a work directory made by another network.
        OSError: a checkpoint cannot be written; the one before it is kept.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
        KeyboardInterrupt: SIGTERM or Ctrl-C; the state is saved.
    """
    check(config)
    model, optimizer = build.model(config.model), optimization.make_optimizer(config.train)
    loss_fn, loss_at = build.loss(config, model)
    batches, iterator, draw = training_data(config)
    held_out = validation_images(config)
    checkpoints.claim_workdir(workdir, config.model.to_dict())
    shape = (config.data.crop, config.data.crop, config.model.num_channels)
    state = optimization.init_state(model, optimizer, shape, jax.random.key(config.seed))
    if config.train.init_from:
        params = checkpoints.load_params(config.train.init_from, state.params)
        state = dataclasses.replace(state, params=params, ema=params)
    step_fn = optimization.make_train_step(config, loss_fn, optimizer, draw)
    with checkpoints.Manager(workdir, config.train.keep_checkpoints) as manager:
        state = manager.restore_latest(jax.device_get(state), iterator)
        monitor = None
        if parallel.is_first_process():
            monitor = Monitor(config, workdir, loss_at, held_out, int(state.step))
        try:
            loop(config, manager, monitor, step_fn, state, batches, iterator)
            manager.wait()
        except OSError as error:
            raise OSError(f"{error}; {manager.last_good()}: make room or choose another --workdir") from error


def check(config) -> None:
    """Refuses batch, crop and channels that a training cannot use, with a ValueError."""
    devices, batch = jax.device_count(), config.train.batch_size
    if batch < 1 or batch % devices:
        raise ValueError(f"train.batch_size={batch}; give a multiple of the number of devices, {devices}")
    if not 0 < config.data.crop <= config.data.size:
        raise ValueError(f"data.crop={config.data.crop}, data.size={config.data.size}; give 0 < crop <= size")
    if config.model.num_channels != 1:
        raise ValueError(f"model.num_channels={config.model.num_channels}; training images have 1 channel")


def training_data(config):
    """(data for each call of the step, the iterator to checkpoint, how a device draws its batch from the data)."""
    data, devices, steps = config.data, jax.local_device_count(), config.train.steps_per_call
    per_device = config.train.batch_size // jax.device_count()
    if data.on_device:
        images = load_slices(data, "train", config.seed, build.source(data)).images.astype(np.float16)
        logging.info("%d training views on %d devices", len(images), jax.device_count())
        return itertools.repeat(parallel.shard(images)), None, optimization.draw_from_pool(data, per_device)
    slices = random_access(read_slices(data, "train", build.source(data)))
    if not len(slices):
        raise ValueError(f"no subject of {describe(data)} falls into split 'train'; add volumes or name subjects")
    logging.info("%d training slices, streamed", len(slices))
    iterator = training_batches(
        slices, data, devices * steps * per_device, config.seed, jax.process_index(), jax.process_count()
    )
    batches = (batch.reshape(devices, steps, per_device, *batch.shape[1:]) for batch in iterator)
    return batches, iterator, optimization.take_batch


def validation_images(config):
    """About `train.validation_images` slices of the validation split."""
    whole = load_slices(config.data, "validation", source=build.source(config.data)).images
    return jnp.asarray(whole[:: max(1, len(whole) // config.train.validation_images)])


def loop(config, manager, monitor, step_fn, state, batches, iterator) -> None:
    """Calls the step until all steps are made or a signal comes, saving, reporting and drawing in between."""
    settings, step = config.train, int(state.step)
    calls = settings.steps_per_call
    replicated, schedule = parallel.replicate(state), optimization.make_schedule(settings)
    bar = tqdm(total=settings.steps, initial=step, desc="training", unit="step", mininterval=5, disable=monitor is None)
    with bar, _stop_signals() as stopped:
        while step < settings.steps and not stopped:
            replicated, losses = step_fn(replicated, next(batches))
            step, loss = step + calls, parallel.first(losses).item()
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {step}; {manager.last_good()}")
            bar.update(calls)
            rate = settings.batch_size * (bar.format_dict.get("rate") or 0.0)  # of the last seconds
            bar.set_postfix_str(f"loss {loss:.4f}, {rate:.1f} images/s")
            if monitor and step % settings.log_every < calls:
                monitor.scalars(step, loss=loss, images_per_second=rate, learning_rate=float(schedule(step)))
            if step % settings.checkpoint_every < calls:
                _save(manager, monitor, step, replicated, iterator, loss)
            if monitor and settings.sample_every and step % settings.sample_every < calls:
                monitor.picture(step, parallel.first(replicated.ema))
            if parallel.reached_preemption(step // calls):
                stopped.append("SIGTERM")
    _save(manager, monitor, step, replicated, iterator, None)
    if stopped:
        manager.wait()
        raise KeyboardInterrupt(f"stopped by {stopped[0]}; step {step} is saved: the same command continues")


def _save(manager, monitor, step, replicated, iterator, loss) -> None:
    """Checkpoint, validation losses and prior file, all of the same step."""
    state = parallel.first(replicated)
    if manager.save(step, state, iterator) and monitor:
        monitor.report(step, state.ema, loss)


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[str]]:
    """A list that gets the name of the first SIGTERM or Ctrl-C; the second one acts as usual."""
    stopped: list[str] = []
    if threading.current_thread() is not threading.main_thread() or jax.process_count() > 1:
        yield stopped  # only the main thread may; several processes agree on a step in `parallel`
        return

    def stop(number, _):
        stopped.append(signal.Signals(number).name)
        restore()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield stopped
    finally:
        restore()
