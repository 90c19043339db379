"""The loop of every training: steps, checkpoints and reports until its length is reached or a signal comes."""

import contextlib
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from tqdm import tqdm

from scoreinv import parallel
from scoreinv.training import checkpoints
from scoreinv.training.batches import Batches
from scoreinv.training.monitor import Monitor, Trained
from scoreinv.training.optimization import Descent, Schedule, TrainState, init_state, make_optimizer, make_train_step
from scoreinv.training.throughput import CompiledStep, in_words

SAVES = 10  # checkpoints of a training bound by seconds, at least


@dataclass(frozen=True)
class Settings:
    """How a training runs.

    Attributes:
        schedule: its length and learning rate.
        descent: how gradients become updates.
        batch_size: images an update, over all devices.
        steps_per_call: updates of one compiled call.
        ema: decay of the averaged parameters.
        seed: of the initial parameters and all that follows.
        init_from: a file of parameters to start from; empty: new ones.
        checkpoint_every: steps between checkpoints.
        keep_checkpoints: how many of the newest are kept.
        log_every: steps between points in TensorBoard.
        sample_every: steps between pictures; 0: none.
        made_with: what else decides the parameters, by name; another value than a work directory's is said.
    """

    schedule: Schedule
    descent: Descent
    batch_size: int
    steps_per_call: int = 1
    ema: float = 0.999
    seed: int = 0
    init_from: str = ""
    checkpoint_every: int = 250
    keep_checkpoints: int = 2
    log_every: int = 50
    sample_every: int = 0
    made_with: Mapping[str, Any] = field(default_factory=dict)


def run(trained: Trained, batches: Batches, settings: Settings, workdir: Path) -> None:
    """Trains, continuing from the newest checkpoint in `workdir`.

    Writes checkpoints (orbax), `losses.csv`, TensorBoard scalars, pictures and the file of the averaged parameters.

    Args:
        trained: what is trained.
        batches: the images.
        settings: how.
        workdir: directory of the run; created if missing.

    Raises:
        ValueError: a work directory made by another network.
        OSError: a checkpoint cannot be written; the one before it is kept.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
        KeyboardInterrupt: SIGTERM or Ctrl-C; the state is saved.
    """
    optimizer = make_optimizer(settings.descent)
    state = init_state(trained.init, optimizer, jax.random.key(settings.seed))
    if settings.init_from:
        params = checkpoints.load_params(settings.init_from, state.params)
        state = dataclasses.replace(state, params=params, ema=params)
    step = make_train_step(trained.loss, optimizer, batches.draw, settings.ema, settings.steps_per_call)
    checkpoints.claim_workdir(workdir, trained.network)
    checkpoints.note_settings(workdir, {**settings.made_with, "training images": batches.images})
    with checkpoints.Manager(workdir, settings.keep_checkpoints) as manager:
        state = manager.restore_latest(jax.device_get(state), batches.position)
        monitor = Monitor(trained, workdir, int(state.step)) if parallel.is_first_process() else None
        try:
            if monitor and state.step and monitor.is_behind(int(state.step)):
                monitor.report(state)  # a kill came between the checkpoint and what it is reported by
            _Run(settings, batches, manager, monitor).until_finished(step, state)
            manager.wait()
        except OSError as error:
            raise OSError(f"{error}; {manager.last_good()}: make room or choose another --workdir") from error


class _Run:
    """One process's part of a training."""

    def __init__(self, settings: Settings, batches: Batches, manager: checkpoints.Manager, monitor: Monitor | None):
        self._settings, self._batches, self._manager, self._monitor = settings, batches, manager, monitor
        self._speed: dict[str, float] = {}

    def until_finished(self, step_fn, state: TrainState) -> None:
        """Calls the step, saving, reporting and drawing in between."""
        settings, step = self._settings, int(state.step)
        schedule, calls = settings.schedule, settings.steps_per_call
        before, begin = float(state.seconds), time.monotonic()

        def clock() -> float:
            seconds = before + time.monotonic() - begin
            return parallel.agreed(seconds) if schedule.seconds else seconds

        compiled = CompiledStep(step_fn, settings.batch_size * calls, calls)
        replicated, seconds = parallel.replicate(state), before
        saved = before
        with self._bar(step) as bar, _stop_signals() as stopped:
            while not schedule.finished(step, seconds) and not stopped:
                rates = np.array([schedule.rate(step + i, seconds) for i in range(calls)], np.float32)
                replicated = compiled(replicated, next(self._batches.data), rates)
                step, loss = step + calls, parallel.first(replicated.loss).item()
                seconds = clock()
                if not math.isfinite(loss):
                    raise FloatingPointError(f"the loss is {loss} at step {step}; {self._manager.last_good()}")
                bar.update(calls)
                self._show(step, loss, float(rates[-1]), compiled, replicated)
                bar.set_postfix_str(f"loss {loss:.4f}" + in_words(self._speed))
                due = schedule.seconds and seconds - saved >= schedule.seconds / SAVES
                if due or step % settings.checkpoint_every < calls:
                    self._save(replicated, seconds)
                    saved = seconds
                if parallel.reached_preemption(step // calls):
                    stopped.append("SIGTERM")
        self._save(replicated, seconds)
        if stopped:
            self._manager.wait()
            raise KeyboardInterrupt(f"stopped by {stopped[0]}; step {step} is saved: the same command continues")

    def _bar(self, step: int):
        schedule = self._settings.schedule
        total = None if schedule.seconds else schedule.steps
        hidden = self._monitor is None
        return tqdm(total=total, initial=step, desc="training", unit="step", mininterval=5, disable=hidden)

    def _show(self, step: int, loss: float, rate: float, compiled: CompiledStep, replicated) -> None:
        """Points of the curves and pictures, where it is time for them."""
        settings, calls = self._settings, self._settings.steps_per_call
        if self._monitor and step % settings.log_every < calls:
            self._speed = compiled.rates()
            self._monitor.scalars(step, {"loss": loss, "learning_rate": rate, **self._speed})
        if self._monitor and settings.sample_every and step % settings.sample_every < calls:
            self._monitor.picture(step, parallel.first(replicated.ema))

    def _save(self, replicated, seconds: float) -> None:
        """Checkpoint, validation losses and the network's file, all of the same step."""
        state = dataclasses.replace(parallel.first(replicated), seconds=np.float32(seconds))
        self._manager.save(int(state.step), state, self._batches.position)
        if self._monitor and self._monitor.is_behind(int(state.step)):
            logging.info("step %d after %.0f s%s", state.step, seconds, in_words(self._speed))
            self._monitor.report(state)


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
