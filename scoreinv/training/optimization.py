"""One training step as a pure function: batch, loss, gradient, update, average."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv import parallel

Params = Any  # a pytree of arrays
Loss = Callable[[PRNGKeyArray, Params, Float[Array, "H W C"]], Float[Array, ""]]


@flax.struct.dataclass
class TrainState:
    """Everything a run needs to continue: a pytree of arrays.

    Attributes:
        step: updates made.
        params: the parameters.
        ema: their exponential moving average, which is what a training delivers.
        opt_state: the optimizer's moments.
        key: key data of every random choice.
        loss: of the last call of the step; NaN before the first.
        seconds: of training that led here.
    """

    step: Any
    params: Params
    ema: Params
    opt_state: Any
    key: Any
    loss: Any
    seconds: Any


@dataclass(frozen=True)
class Schedule:
    """The length of a training and its learning rate: linear warm-up, then constant or a cosine decay to zero.

    Attributes:
        peak: learning rate after the warm-up.
        warmup: steps in which it rises from zero.
        decay: "cosine" or "none".
        steps: length of the training, unless `seconds` are given.
        seconds: length of the training in seconds; the decay follows the fraction used. 0: as many as the steps take.

    Raises:
        ValueError: unknown decay.
    """

    peak: float
    warmup: int
    decay: str
    steps: int
    seconds: float = 0.0

    def __post_init__(self):
        if self.decay not in ("cosine", "none"):
            raise ValueError(f"unknown train.decay {self.decay!r}; choose one of cosine, none")

    def finished(self, step: int, seconds: float) -> bool:
        """Whether the training is over after so many steps, which took so many seconds."""
        return seconds >= self.seconds if self.seconds else step >= self.steps

    def rate(self, step: int, seconds: float) -> float:
        """The learning rate of the update that follows `step` updates, made in `seconds`."""
        rising = step / self.warmup if step < self.warmup else 1.0
        if self.decay == "none":
            return self.peak * rising
        if self.seconds:
            used = seconds / self.seconds
        else:
            used = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak * rising * (1 + math.cos(math.pi * min(1.0, used))) / 2


@dataclass(frozen=True)
class Descent:
    """How gradients become updates.

    Attributes:
        optimizer: "adam" or "muon".
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of their squares.
        eps: added to their root, by Adam.
        clip: largest global norm of the gradient.
    """

    optimizer: str
    beta1: float
    beta2: float
    eps: float
    clip: float


def make_optimizer(descent: Descent) -> optax.GradientTransformation:
    """Adam or Muon at learning rate 1, after clipping by global norm; the step multiplies by the rate of the schedule.

    Muon (Jordan 2024) orthogonalises the momentum of every matrix and convolution kernel, with updates of the size of
    Adam's (Liu et al. 2025); biases and scales are left to Adam.

    Raises:
        ValueError: unknown optimizer.
    """
    if descent.optimizer == "adam":
        update = optax.adam(1.0, b1=descent.beta1, b2=descent.beta2, eps=descent.eps)
    elif descent.optimizer == "muon":
        betas = {"adam_b1": descent.beta1, "adam_b2": descent.beta2}
        update = optax.contrib.muon(1.0, **betas, muon_weight_dimension_numbers=matrix_axes, consistent_rms=0.2)
    else:
        raise ValueError(f"unknown train.optimizer {descent.optimizer!r}; choose one of adam, muon")
    return optax.chain(optax.clip_by_global_norm(descent.clip), update)


def matrix_axes(params: Params) -> Any:
    """Which axes of each parameter are the rows and columns of a matrix for Muon; None where it is not one."""
    numbers = optax.contrib.MuonDimensionNumbers
    by_rank = {2: numbers(0, 1), 4: numbers((0, 1, 2), 3)}
    return jax.tree.map(lambda p: by_rank.get(p.ndim), params)


def init_state(
    init: Callable[[PRNGKeyArray], Params], optimizer: optax.GradientTransformation, key: PRNGKeyArray
) -> TrainState:
    """A fresh state: initialised parameters, their copy as average, empty optimizer moments.

    Args:
        init: key -> parameters.
        optimizer: what `make_optimizer` returned.
        key: PRNG key of everything that follows.

    Raises:
        MemoryError: more than the machine has.
    """

    # One program, as every layer would compile on its own, and hardly optimised: it runs once.
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def start(key):
        key_init, key = jax.random.split(key)
        params = init(key_init)
        step, loss, seconds = jnp.zeros((), jnp.int32), jnp.float32(jnp.nan), jnp.zeros(())
        return TrainState(step, params, params, optimizer.init(params), jax.random.key_data(key), loss, seconds)

    # Gradients come on top. XLA compiles and allocates without asking.
    size = 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(start, key)))
    if size > parallel.machine_memory():
        raise MemoryError(f"training this network takes {size / 2**30:.3g} GiB beside its activations")
    return start(key)


def make_train_step(
    loss_fn: Loss, optimizer: optax.GradientTransformation, draw: Callable[..., Any], ema: float, steps_per_call: int
) -> Callable[..., Any]:
    """A data-parallel function (state, data, rates) -> state that makes `steps_per_call` updates.

    Every random choice is a function of (key, step, device), so a resumed run repeats the one that was not interrupted.
    The loss is NaN as well when the gradient is not finite, so that no state after such a step is ever saved.

    Args:
        loss_fn: (key, params, image) -> loss of one image.
        optimizer: what `make_optimizer` returned.
        draw: (key, data, i) -> images [N, H, W, C] of this device for the i-th step of a call.
        ema: decay of the averaged parameters, once a few steps are made.
        steps_per_call: updates of one call; `rates` holds the learning rate of each.
    """

    def one_step(data, state, i, rate):
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        key_data, key_loss = jax.random.split(jax.random.fold_in(key, jax.lax.axis_index(parallel.AXIS)))
        batch = draw(key_data, data, i)
        keys = jax.random.split(key_loss, batch.shape[0])

        def mean_loss(params):
            return jnp.mean(jax.vmap(loss_fn, (0, None, 0))(keys, params, batch))

        loss, grads = jax.value_and_grad(mean_loss)(state.params)
        loss, grads = jax.lax.pmean((loss, grads), parallel.AXIS)
        finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grads)]).all()
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = jax.tree.map(lambda p, update: p + rate * update, state.params, updates)
        decay = jnp.minimum(ema, (1 + state.step) / (10 + state.step))
        average = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, state.ema, params)
        loss = jnp.where(finite, loss, jnp.nan)
        return TrainState(state.step + 1, params, average, opt_state, state.key, loss, state.seconds)

    def call(state, data, rates):
        if steps_per_call == 1:
            # No loop: XLA's CPU backend runs convolution gradients inside a loop up to 100 times slower.
            return one_step(data, state, 0, rates[0])

        def body(state, turn):
            state = one_step(data, state, *turn)
            return state, state.loss

        state, losses = jax.lax.scan(body, state, (jnp.arange(steps_per_call), rates))
        return state.replace(loss=jnp.mean(losses))

    return parallel.data_parallel(call, (0, 0, None))
