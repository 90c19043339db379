"""Uncertainty on Gaussian posteriors, where every number is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from scoreinv.evaluation import uncertainty
from scoreinv.operators.base import LinearOperator, Measurement

SHAPE, K = (96, 96, 1), 8
REGION = np.ones(SHAPE[:2], bool)


def posterior(key):
    """(truth, samples, std): a Gaussian posterior whose std varies over the image."""
    keys = jax.random.split(key, 3)
    mean, std = jax.random.normal(keys[0], SHAPE), jnp.linspace(0.1, 1.0, SHAPE[1])[None, :, None] * jnp.ones(SHAPE)
    noise = jax.random.normal(keys[1], (K + 1, *SHAPE))
    return mean + std * noise[0], mean + std * noise[1:], std


def test_maps_are_those_of_numpy():
    _, samples, _ = posterior(jax.random.key(0))
    found = uncertainty.maps(samples, (0.1, 0.5))
    np.testing.assert_allclose(found.mean, np.mean(samples, 0), atol=1e-6)
    np.testing.assert_allclose(found.std, np.std(samples, 0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(found.quantiles, np.quantile(samples, (0.1, 0.5), axis=0), atol=1e-5)
    with pytest.raises(ValueError, match="at least 2"):
        uncertainty.maps(samples[:1])


def test_z_scores_follow_student_t():
    truth, samples, _ = posterior(jax.random.key(1))
    found = uncertainty.maps(samples)
    z = uncertainty.z_scores(truth, found.mean, found.std, REGION, K)
    t = stats.t(K - 1)
    for width in (1, 2, 3):
        assert np.mean(np.abs(z) <= width) == pytest.approx(t.cdf(width) - t.cdf(-width), abs=0.012)
    assert np.std(z) == pytest.approx(np.sqrt((K - 1) / (K - 3)), rel=0.03)


def test_draw_is_independent_of_the_batch_and_its_memory_is_a_batch():
    def reconstruct(key, measurement):
        x = jax.random.normal(key, SHAPE)
        return (
            jax.lax.fori_loop(0, 3, lambda _, v: jnp.tanh(v @ v.swapaxes(0, 1)), x[..., 0])[..., None] + measurement.y
        )

    def program(samples, batch):
        return jax.jit(lambda key, m: uncertainty.draw(reconstruct, key, m, samples, batch))

    key, shift = jax.random.key(0), Measurement(jnp.ones(()), LinearOperator(jnp.ones(()), None), jnp.float32(0.0))
    np.testing.assert_allclose(program(6, 2)(key, shift), program(6, 6)(key, shift), atol=1e-4)
    temporary = {k: program(k, 2).lower(key, shift).compile().memory_analysis().temp_size_in_bytes for k in (2, 32)}
    results = 32 * np.prod(SHAPE) * 4
    assert temporary[32] <= temporary[2] + 1.1 * results


def test_object_region_fills_holes():
    image = np.zeros((12, 12, 1))
    image[2:10, 2:10] = 1.0
    image[5:7, 5:7] = 0.0
    region = uncertainty.object_region(image)
    assert region.sum() == 64 and region[5, 5] and not region[0, 0]
