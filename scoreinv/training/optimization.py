"""One training step as a pure function: batch, loss, gradient, update, average."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from scoreinv import parallel


@flax.struct.dataclass
class TrainState:
    """Everything a run needs to continue: a pytree of arrays."""

    step: Any
    params: Any
    ema: Any
    opt_state: Any
    key: Any


def make_schedule(config) -> optax.Schedule:
    """The learning rate by step: linear warm-up, then constant or a cosine decay to zero."""
    if config.decay == "cosine":
        steps = max(config.steps, config.warmup + 1)
        return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, steps)
    if config.decay != "none":
        raise ValueError(f"unknown train.decay {config.decay!r}; choose one of cosine, none")
    return optax.linear_schedule(0.0, config.learning_rate, config.warmup)


def make_optimizer(config) -> optax.GradientTransformation:
    """Adam or Muon with `make_schedule`'s learning rate, after clipping by global norm.

    Muon (Jordan 2024) orthogonalises the momentum of every matrix and convolution kernel, with updates of the size of
    Adam's (Liu et al. 2025); biases and scales are left to Adam.

    Raises:
        ValueError: unknown `train.optimizer`.
    """
    schedule, betas = make_schedule(config), {"b1": config.adam_beta1, "b2": config.adam_beta2}
    if config.optimizer == "adam":
        update = optax.adam(schedule, **betas, eps=config.adam_eps)
    elif config.optimizer == "muon":
        adam_betas = {f"adam_{name}": value for name, value in betas.items()}
        update = optax.contrib.muon(
            schedule, **adam_betas, muon_weight_dimension_numbers=matrix_axes, consistent_rms=0.2
        )
    else:
        raise ValueError(f"unknown train.optimizer {config.optimizer!r}; choose one of adam, muon")
    return optax.chain(optax.clip_by_global_norm(config.clip), update)


def matrix_axes(params):
    """Which axes of each parameter are the rows and columns of a matrix for Muon; None where it is not one."""
    numbers = optax.contrib.MuonDimensionNumbers
    by_rank = {2: numbers(0, 1), 4: numbers((0, 1, 2), 3)}
    return jax.tree.map(lambda p: by_rank.get(p.ndim), params)


def init_state(model, optimizer, shape, key) -> TrainState:
    """A fresh state: initialised parameters, their copy as average, empty optimizer moments."""

    # One program, as every layer would compile on its own, and hardly optimised: it runs once.
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def init(key):
        key_init, key = jax.random.split(key)
        params = model.init(key_init, jnp.zeros((1, *shape)), jnp.ones(1))["params"]
        return TrainState(jnp.zeros((), jnp.int32), params, params, optimizer.init(params), jax.random.key_data(key))

    return init(key)


def random_crop_and_flip(key, image, crop, flip=True):
    """A random crop [crop, crop, C] of one image, mirrored left-right or up-down half of the time each."""
    key_offset, key_flip = jax.random.split(key)
    room = jnp.array([image.shape[0] - crop + 1, image.shape[1] - crop + 1])
    offset = jax.random.randint(key_offset, (2,), 0, room)
    patch = jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), (crop, crop, image.shape[2]))
    flips = jax.random.bernoulli(key_flip, 0.5, (2,)) & flip
    patch = jnp.where(flips[0], patch[::-1], patch)
    return jnp.where(flips[1], patch[:, ::-1], patch)


def draw_from_pool(data, per_device: int) -> Callable:
    """A function (key, pool [N, H, W, C], i) -> batch of random crops of random images of the pool."""

    def draw(key, pool, i):
        key_index, key_crop = jax.random.split(key)
        index = jax.random.randint(key_index, (per_device,), 0, pool.shape[0])
        crop = jax.vmap(partial(random_crop_and_flip, crop=data.crop, flip=data.flip))
        return crop(jax.random.split(key_crop, per_device), pool[index].astype(jnp.float32))

    return draw


def take_batch(key, batches, i):
    """The i-th of the batches [calls, N, H, W, C] that a stream delivered for one call."""
    return batches[i]


def make_train_step(config, loss_fn, optimizer, draw: Callable) -> Callable:
    """A data-parallel function (state, data) -> (state, loss) that makes `train.steps_per_call` updates.

    Every random choice is a function of (key, step, device), so a resumed run repeats the one that was not interrupted.
    The loss is NaN as well when the gradient is not finite, so that no state after such a step is ever saved.

    Args:
        config: the whole configuration.
        loss_fn: (key, params, image) -> loss of one image.
        optimizer: what `make_optimizer` returned.
        draw: (key, data, i) -> images [N, H, W, C] of this device for the i-th step of a call.
    """

    def one_step(data, state, i):
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        key_data, key_loss = jax.random.split(jax.random.fold_in(key, jax.lax.axis_index(parallel.AXIS)))
        batch = draw(key_data, data, i)
        keys = jax.random.split(key_loss, batch.shape[0])

        def mean_loss(params):
            return jnp.mean(jax.vmap(loss_fn, (0, None, 0))(keys, params, batch))

        loss, grads = jax.value_and_grad(mean_loss)(state.params)
        loss, grads = jax.lax.pmean((loss, grads), parallel.AXIS)
        finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grads)]).all()
        loss = jnp.where(finite, loss, jnp.nan)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(config.train.ema, (1 + state.step) / (10 + state.step))
        ema = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, state.ema, params)
        return TrainState(state.step + 1, params, ema, opt_state, state.key), loss

    def call(state, data):
        if config.train.steps_per_call == 1:
            # No loop: XLA's CPU backend runs convolution gradients inside a loop up to 100 times slower.
            return one_step(data, state, 0)
        state, loss = jax.lax.scan(partial(one_step, data), state, jnp.arange(config.train.steps_per_call))
        return state, jnp.mean(loss)

    return parallel.data_parallel(call)
