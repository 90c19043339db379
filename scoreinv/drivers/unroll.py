"""Training driver of the supervised comparison: an unrolled network for one measurement operator."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import logging

from scoreinv import build, parallel
from scoreinv.drivers.train import check, loop, training_data, validation_images
from scoreinv.formats import priors
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.training import checkpoints, optimization
from scoreinv.training.monitor import Curves


def unroll(config, workdir: Path) -> None:
    """Trains an unrolled network on simulated measurements, continuing from the newest checkpoint in `workdir`.

    Writes checkpoints (orbax), `losses.csv` (mean squared errors), TensorBoard scalars and `unrolled.safetensors` (the
    averaged parameters, for `config.supervised`).

    Args:
        config: the whole configuration; `operator` names the one measurement that the network is for, `unrolled` the
            network, `train` the optimisation, `data` the slices, of which it sees whole ones of side `data.size`.
        workdir: directory of the run; created if missing.

    Raises:
        ValueError: unusable data or settings, or a work directory made by another network.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
        KeyboardInterrupt: SIGTERM or Ctrl-C; the state is saved.
    """
    config = config.copy_and_resolve_references()
    config.data.crop, config.train.sample_every = config.data.size, 0
    check(config)
    name, operator = _operator(config)
    network, optimizer = build.unrolled_network(config.unrolled), optimization.make_optimizer(config.train)
    noise_std = jnp.float32(config.operator.noise_std)

    def loss(key, params, image):
        measurement = simulate(key, operator, image, noise_std)
        return jnp.mean((network.apply({"params": params}, measurement) - image) ** 2)

    batches, iterator, draw = training_data(config)
    held_out = validation_images(config)
    checkpoints.claim_workdir(workdir, config.unrolled.to_dict() | {"operator": name})
    state = _init_state(network, optimizer, operator, config.data.size, jax.random.key(config.seed))
    step_fn = optimization.make_train_step(config, loss, optimizer, draw)
    with checkpoints.Manager(workdir, config.train.keep_checkpoints) as manager:
        state = manager.restore_latest(jax.device_get(state), iterator)
        monitor = Monitor(config, workdir, loss, held_out, int(state.step)) if parallel.is_first_process() else None
        loop(config, manager, monitor, step_fn, state, batches, iterator)
        manager.wait()


def _operator(config) -> tuple[str, LinearOperator]:
    """The one operator of a configuration, with its name."""
    shape = (config.data.size, config.data.size, 1)
    operators = build.operators(config.operator, shape, jax.random.split(jax.random.key(config.seed))[0])
    if len(operators) > 1:
        raise ValueError(f"an unrolled network is trained for one operator, got {len(operators)}; give one value")
    if config.data.size % 2**config.unrolled.levels:
        raise ValueError(f"data.size={config.data.size}; give a multiple of 2^unrolled.levels")
    return operators[0]


def _init_state(network, optimizer, operator, size: int, key) -> optimization.TrainState:
    """A fresh state, as `optimization.init_state` makes for a prior."""

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def init(key):
        init_key, key = jax.random.split(key)
        measurement = simulate(init_key, operator, jnp.zeros((size, size, 1)), 0.0)
        params, step = network.init(init_key, measurement)["params"], jnp.zeros((), jnp.int32)
        return optimization.TrainState(step, params, params, optimizer.init(params), jax.random.key_data(key))

    return init(key)


class Monitor:
    """What the training shows of itself, for the loop that it shares with `train`.

    Args:
        config: the whole configuration.
        workdir: the run's directory.
        loss: (key, params, image) -> mean squared error.
        held_out: validation images [N, H, W, C].
        step: the step the run starts from.
    """

    def __init__(self, config, workdir: Path, loss, held_out, step: int):
        self._config, self._workdir, self._curves = config, workdir, Curves(workdir / "tensorboard", step)
        pairs = (jax.random.split(jax.random.key(0), len(held_out)), held_out)
        self._validate = jax.jit(lambda p: jnp.mean(jax.lax.map(lambda pair: loss(pair[0], p, pair[1]), pairs)))

    def scalars(self, step: int, **values: float) -> None:
        """Adds points to the curves of the training."""
        self._curves.add(step, {f"train/{name}": value for name, value in values.items()})

    def report(self, step: int, ema, loss: float | None) -> None:
        """Validation error and the network's file of one step."""
        error = float(self._validate(ema))
        logging.info("step %d: validation mean squared error %.3g", step, error)
        self._curves.add(step, {"validation/error": error})
        checkpoints.append_csv(self._workdir / "losses.csv", {"step": step, "train": loss, "validation": error})
        priors.save_prior(self._workdir / "unrolled.safetensors", ema, {"unrolled": self._config.unrolled.to_dict()})
