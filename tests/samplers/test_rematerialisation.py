"""Memory: what a method that goes backwards through the network keeps, and what a batch of samples takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import constant_measurement, gaussian_prior, half_mask, masked_cosine

from configs import default
from scoreinv import build
from scoreinv.samplers.base import tweedie
from scoreinv.samplers.dps import dps
from scoreinv.samplers.song2022 import song2022
from scoreinv.samplers.times import geometric_times

SHAPE = (32, 32, 1)


def small_priors():
    """A network's prior, without and with rematerialisation."""
    config = default.get_config()
    config.model.update({"nf": 8, "ch_mult": (1,), "image_size": 32})
    config.data.size = 32
    metadata = build.prior_metadata(config)
    params = jax.jit(build.model(config.model).init)(jax.random.key(0), jnp.zeros((1, *SHAPE)), jnp.ones(1))["params"]
    # The first and last convolutions start at zero: move every parameter, so that the network does something.
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(params))))
    params = jax.tree.map(lambda p: p + 0.05 * jax.random.normal(next(keys), p.shape), params)
    return [build.prior_from(params, metadata, remat) for remat in (False, True)]


def stored(prior):
    """Bytes that the pass backwards through the denoiser needs from the pass forwards."""

    def residuals(prior, x):
        return jax.vjp(lambda v: tweedie(prior, v, prior.sde.time_at(jnp.float32(0.3))), x)[1]

    leaves = jax.tree.leaves(jax.eval_shape(residuals, prior, jnp.zeros(SHAPE)))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


@pytest.mark.slow
def test_rematerialisation_stores_less():
    plain, remat = small_priors()
    network = sum(jnp.asarray(leaf).nbytes for leaf in jax.tree.leaves(plain))
    assert stored(remat) - network < 0.5 * (stored(plain) - network)


@pytest.mark.slow
def test_rematerialisation_changes_no_image():
    plain, remat = small_priors()
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(0), SHAPE)), 0.3)
    times = geometric_times(plain.sde, 3, 0.05, 1.0)
    images = [
        jax.jit(lambda prior, m: dps(prior, times=times)(jax.random.key(2), m))(prior, measurement)
        for prior in (plain, remat)
    ]
    np.testing.assert_allclose(images[0], images[1], atol=1e-4)


def test_memory_of_samples_is_at_most_that_many_times_one():
    prior = gaussian_prior(shape=(64, 64, 1))
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(0), (64, 64, 1))), 0.3)
    times = geometric_times(prior.sde, 20, 0.01, 10.0)

    def memory(samples):
        keys = jax.random.split(jax.random.key(0), samples)
        draw = jax.jit(jax.vmap(song2022(prior, times=times, snr=0.16, lam=1.0), (0, None)))
        analysis = draw.lower(keys, measurement).compile().memory_analysis()
        return analysis.temp_size_in_bytes + analysis.output_size_in_bytes

    one = memory(1)
    assert memory(4) <= 4 * one
