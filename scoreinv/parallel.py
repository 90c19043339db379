"""Devices: the one module that calls `jax.pmap`, so that a successor of it is a change of one file."""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

AXIS = "devices"


def initialize(coordinator_address: str = "", num_processes: int = 0, process_id: int = -1) -> None:
    """Joins the processes of one run, when it was launched as several; call it before anything else of JAX.

    Args:
        coordinator_address: host:port of process 0; empty: SLURM, Open MPI or a TPU pod tells, if there is one.
        num_processes: how many processes.
        process_id: number of this one.

    Raises:
        ValueError: an address without number and count of processes, or the reverse.
        OSError: the processes do not find each other.
    """
    explicit = (bool(coordinator_address), num_processes > 0, process_id >= 0)
    if any(explicit) and not all(explicit):
        raise ValueError(
            f"coordinator_address={coordinator_address!r}, num_processes={num_processes}, process_id={process_id}; "
            "give all three, or none under SLURM, Open MPI or on a TPU pod"
        )
    if not any(explicit) and not _launched_as_several():
        return
    given = (coordinator_address, num_processes, process_id) if all(explicit) else ()
    try:
        jax.distributed.initialize(*given)
    except RuntimeError as error:
        raise OSError(f"the processes of this run do not find each other ({' '.join(str(error).split())})") from error


def _launched_as_several() -> bool:
    """Whether srun, mpirun or a TPU pod started this process as one of several."""
    counts = (os.environ.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"))
    return any(count.isdigit() and int(count) > 1 for count in counts) or "," in os.environ.get(
        "TPU_WORKER_HOSTNAMES", ""
    )


def is_first_process() -> bool:
    """Whether this process writes what only one may write."""
    return jax.process_index() == 0


def reached_preemption(call: int) -> bool:
    """Whether all processes agreed to stop at this call of the step, after a SIGTERM to any of them."""
    return jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(call)


def replicate(tree: Any) -> Any:
    """A copy of every leaf for each local device, stacked along a new first axis."""
    # Through a pmap of the same axis, so that the copies lie as a step returns them and the step compiles once.
    return jax.pmap(lambda _, tree: tree, axis_name=AXIS, in_axes=(0, None))(jnp.arange(jax.local_device_count()), tree)


def first(tree: Any) -> Any:
    """The first local device's copy of a replicated tree, in the memory of this process."""
    # A copy, not a view: the next step may overwrite the device's memory while a checkpoint is being written from this.
    return jax.tree.map(lambda x: np.array(x.addressable_shards[0].data)[0], tree)


def shard(images: np.ndarray) -> Any:
    """Deals images [N, ...] out to all devices of all processes: device d gets images d, d + devices, ...

    Returns:
        This process's part, [local devices, N // devices, ...], each on its device.

    Raises:
        ValueError: fewer images than devices.
    """
    devices = jax.device_count()
    if len(images) < devices:
        raise ValueError(f"{len(images)} training images for {devices} devices; add volumes or use fewer devices")
    local = [device.id for device in jax.local_devices()]
    order = [device.id for device in jax.devices()]
    parts = [images[order.index(i) :: devices][: len(images) // devices] for i in local]
    return jax.pmap(lambda x: x, axis_name=AXIS)(np.stack(parts))


def data_parallel(step: Callable[..., Any], in_axes: Any = 0) -> Callable[..., Any]:
    """A step over replicated arguments, one call per device; gradients are averaged over `AXIS` inside it.

    Args:
        step: the function of one device; the memory of its first argument is used again.
        in_axes: for each argument 0, or None where all devices share it, as of `jax.pmap`.
    """
    return jax.pmap(step, axis_name=AXIS, in_axes=in_axes, donate_argnums=0)


def agreed(number: float) -> float:
    """The first process's number, on all processes."""
    if jax.process_count() == 1:
        return number
    return float(multihost_utils.broadcast_one_to_all(np.float64(number)))


def compile_batch(fn: Callable[..., Any], shared: Any, *batch: Any) -> Callable[..., Any]:
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

    @jax.jit
    def split(batch: Any) -> Any:
        return jax.tree.map(lambda x: jnp.asarray(x)[index], batch)

    mapped = jax.pmap(
        lambda shared, batch: jax.vmap(lambda one: fn(shared, *one))(batch),
        in_axes=(None, 0),
        devices=jax.local_devices()[:devices],
    )
    examples = shared, split(batch)
    if jax.process_count() == 1:  # from shapes alone: where the examples lie would become a part of the program
        examples = jax.eval_shape(lambda *x: x, *examples)
    compiled = mapped.lower(*examples).compile()
    refuse_beyond_memory(compiled, devices)
    places, _ = compiled.input_shardings

    def run(shared: Any, *batch: Any) -> Any:
        given = shared, split(batch)
        # What another program left on some of the devices moves to where this one expects it.
        result = compiled(*(jax.device_put(given, places) if jax.process_count() == 1 else given))
        return jax.tree.map(lambda x: x.reshape(devices * size, *x.shape[2:])[:n], result)

    return run


def refuse_beyond_memory(compiled: Any, devices: int = 1) -> None:
    """Refuses a program that needs more than the machine has, where nothing but a kill would say so.

    Args:
        compiled: the program, not run yet.
        devices: that share the machine's memory.

    Raises:
        MemoryError: it does not fit; accelerators say that themselves.
    """
    found = compiled.memory_analysis()
    if jax.default_backend() != "cpu" or found is None:
        return
    needed = devices * (found.temp_size_in_bytes + found.output_size_in_bytes)
    if needed > machine_memory():
        raise MemoryError(f"the program takes {needed / 2**30:.3g} GiB of {machine_memory() / 2**30:.3g}")


def machine_memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def compiled_once(fn: Callable[..., Any]) -> Callable[..., tuple[Any, float]]:
    """(shared, *batch) -> (results, seconds without compilation), compiled at the first call of each shape."""
    programs: dict[Any, Callable[..., Any]] = {}

    def run(shared: Any, *batch: Any) -> tuple[Any, float]:
        leaves, structure = jax.tree.flatten((shared, batch))
        signature = (structure, tuple((jnp.shape(x), jnp.result_type(x)) for x in leaves))
        if signature not in programs:
            programs[signature] = compile_batch(fn, shared, *batch)
        started = time.perf_counter()
        result = jax.block_until_ready(programs[signature](shared, *batch))
        return result, time.perf_counter() - started

    return run
