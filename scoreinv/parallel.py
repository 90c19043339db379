"""Devices: the one module that calls `jax.pmap`, so that a successor of it is a change of one file."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

AXIS = "devices"


def replicate(tree: Any) -> Any:
    """A copy of every leaf for each local device, stacked along a new first axis."""
    # Through a pmap of the same axis, so that the copies lie as a step returns them and the step compiles once.
    return jax.pmap(lambda _, tree: tree, axis_name=AXIS, in_axes=(0, None))(jnp.arange(jax.local_device_count()), tree)


@jax.jit
def first(tree: Any) -> Any:
    """The first device's copy of a replicated tree."""
    return jax.tree.map(lambda x: x[0], tree)


def data_parallel(step: Callable) -> Callable:
    """A step over replicated arguments, one call per device; gradients are averaged over `AXIS` inside it."""
    return jax.pmap(step, axis_name=AXIS, donate_argnums=0)


def compile_batch(fn: Callable, shared: Any, *batch: Any) -> Callable:
    """Compiles `pmap(vmap(fn))` over the first axis of the batched arguments, for any batch size.

    Args:
        fn: (shared, *one) -> result of one item; `shared` is the same for all items (a prior, say).
        shared: an example of the shared argument.
        batch: an example of the batched arguments; every leaf has first axis N.

    Returns:
        (shared, *batch) -> results [N, ...], for arguments of the examples' shapes. A batch that the number of local
        devices does not divide is padded with its last item, and the results are trimmed.
    """
    n = jax.tree.leaves(batch)[0].shape[0]
    devices = min(jax.local_device_count(), n)
    size = -(-n // devices)
    index = np.minimum(np.arange(devices * size), n - 1).reshape(devices, size)

    def split(batch):
        return jax.tree.map(lambda x: jnp.asarray(x)[index], batch)

    mapped = jax.pmap(
        lambda shared, batch: jax.vmap(lambda one: fn(shared, *one))(batch),
        in_axes=(None, 0),
        devices=jax.local_devices()[:devices],
    )
    compiled = mapped.lower(shared, split(batch)).compile()

    def run(shared, *batch):
        result = compiled(shared, split(batch))
        return jax.tree.map(lambda x: x.reshape(devices * size, *x.shape[2:])[:n], result)

    return run
