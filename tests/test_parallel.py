"""Drivers over several devices: the same numbers as on one, also when the batch does not divide."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

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
np.save(sys.argv[2], np.concatenate(results))
"""


def run_on(devices, path):
    env = dict(os.environ, XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}", JAX_PLATFORMS="cpu")
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
