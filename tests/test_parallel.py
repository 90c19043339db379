"""Drivers over several devices: the same numbers as on one, also when the batch does not divide."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import parallel

PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
from scoreinv import parallel
assert jax.local_device_count() == int(sys.argv[1])
def draw(scale, key, x):
    return x + scale * jax.random.normal(key, x.shape)
results = []
for n in (6, 3, 8):
    keys, x = jax.random.split(jax.random.key(0), n), jnp.arange(4.0 * n).reshape(n, 4)
    run = parallel.compile_batch(draw, jnp.float32(2.0), keys, x)
    results.append(run(jnp.float32(2.0), keys, x))
assert [len(r) for r in results] == [6, 3, 8]
assert len(results[2].devices()) == int(sys.argv[1])
# What lies on one device or on all of them goes into a program for all.
one = parallel.compile_batch(draw, jnp.float32(2.0), keys[:1], x[:1])(jnp.float32(2.0), keys[:1], x[:1])
again = parallel.compile_batch(draw, one[0, 0], keys, results[2])
results.append(again(one[0, 0], keys, results[2]))
np.save(sys.argv[2], np.concatenate(results))
"""


def run_on(devices, path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    env = dict(os.environ, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    subprocess.run([sys.executable, "-c", PROGRAM, str(devices), str(path)], env=env, check=True)
    return np.load(path)


def test_four_devices_equal_one_for_batches_that_divide_or_do_not(tmp_path):
    one, four = run_on(1, tmp_path / "one.npy"), run_on(4, tmp_path / "four.npy")
    np.testing.assert_array_equal(one, four)


def test_a_batch_equals_single_items():
    def fn(shared, x):
        return shared * jnp.cumsum(x)

    x = jax.random.normal(jax.random.key(0), (3, 5))
    batch = parallel.compile_batch(fn, jnp.float32(3.0), x)(jnp.float32(3.0), x)
    np.testing.assert_allclose(batch, np.stack([fn(3.0, item) for item in x]), rtol=1e-6)


def test_replicate_and_first_are_inverse():
    tree = {"a": jnp.arange(3.0), "b": jnp.ones((2, 2))}
    back = parallel.first(parallel.replicate(tree))
    assert jax.tree.all(jax.tree.map(lambda p, q: bool((p == q).all()), tree, back))


def test_images_are_dealt_out_and_too_few_are_refused():
    images = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(parallel.shard(images)[0], images)
    with pytest.raises(ValueError, match="0 training images for 1 devices"):
        parallel.shard(images[:0])


def test_half_an_address_is_refused():
    with pytest.raises(ValueError, match="give all three, or none"):
        parallel.initialize("localhost:1234", num_processes=2)


def test_a_process_on_its_own_joins_none(monkeypatch):
    for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    parallel.initialize()
    assert jax.process_count() == 1


def test_copies_of_a_replicated_tree_outlive_the_devices_memory():
    tree = parallel.replicate(jnp.ones((4, 4)))
    copy = parallel.first(tree)
    parallel.data_parallel(lambda x: x + 1)(tree)  # donates the memory of `tree`
    np.testing.assert_array_equal(copy, np.ones((4, 4)))


def test_a_program_beyond_the_machine_s_memory_is_refused_before_it_runs(monkeypatch):
    def outer(_, x):
        return jnp.sum(jnp.sin(x[:, None] * x), 1)

    monkeypatch.setattr(parallel, "machine_memory", lambda: 2**10)
    with pytest.raises(MemoryError, match="the program takes"):
        parallel.compile_batch(outer, 0.0, jnp.ones((1, 300)))
