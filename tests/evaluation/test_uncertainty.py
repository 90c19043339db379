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


def posterior(key, spread=1.0):
    """(truth, samples, std): a Gaussian posterior whose std varies over the image, its samples `spread` too wide."""
    keys = jax.random.split(key, 3)
    mean, std = jax.random.normal(keys[0], SHAPE), jnp.linspace(0.1, 1.0, SHAPE[1])[None, :, None] * jnp.ones(SHAPE)
    noise = jax.random.normal(keys[1], (K + 1, *SHAPE))
    return mean + std * noise[0], mean + spread * std * noise[1:], std


def test_maps_are_those_of_numpy():
    _, samples, _ = posterior(jax.random.key(0))
    found = uncertainty.maps(samples, (0.1, 0.5))
    np.testing.assert_allclose(found.mean, np.mean(samples, 0), atol=1e-6)
    np.testing.assert_allclose(found.std, np.std(samples, 0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(found.quantiles, np.quantile(samples, (0.1, 0.5), axis=0), atol=1e-5)
    with pytest.raises(ValueError, match="at least 2"):
        uncertainty.maps(samples[:1])


def test_coverage_and_z_follow_student_t():
    truth, samples, _ = posterior(jax.random.key(1))
    report = uncertainty.calibration(truth, samples, REGION)
    t = stats.t(K - 1)
    for width in (1, 2, 3):
        assert report[f"coverage_{width}"] == pytest.approx(t.cdf(width) - t.cdf(-width), abs=0.012)
    assert report["z_std"] == pytest.approx(np.sqrt((K - 1) / (K - 3)), rel=0.03)


def test_reliability_is_the_diagonal_for_exchangeable_samples_and_bends_with_overconfidence():
    levels = (0.3, 0.5, 0.7)
    truth, samples, _ = posterior(jax.random.key(2))
    np.testing.assert_allclose(uncertainty.reliability(truth, samples, REGION, levels), levels, atol=0.015)
    truth, samples, _ = posterior(jax.random.key(2), spread=0.5)
    assert all(np.array(uncertainty.reliability(truth, samples, REGION, levels)) < np.array(levels) - 0.1)


def test_rank_correlation_is_spearmans_inside_the_region():
    """For |error| = std |n| the correlation is that of a draw of the same law; outside the region nothing counts."""
    truth, _, std = posterior(jax.random.key(3))
    mean = truth - std * jax.random.normal(jax.random.key(9), SHAPE)
    rng = np.random.default_rng(0)
    s = rng.uniform(0.1, 1.0, 200_000)
    expected = stats.spearmanr(s * np.abs(rng.normal(size=s.size)), s).statistic
    assert uncertainty.rank_correlation(truth - mean, std, REGION) == pytest.approx(expected, abs=0.02)
    half = REGION.copy()
    half[:48] = False
    spoiled = std.at[:48].set(-std[:48])
    inside = uncertainty.rank_correlation(truth - mean, spoiled, half)
    assert inside == pytest.approx(uncertainty.rank_correlation(truth - mean, std, half))


@pytest.mark.parametrize("spread", [0.4, 1.0, 2.0])
def test_conformal_intervals_cover_90_percent_of_new_subjects(spread):
    """Fitted on subjects whose samples are too narrow or too wide, and tried on others: 90 +- 2 %."""

    def scores(seed):
        truth, samples, _ = posterior(jax.random.key(seed), spread)
        found = uncertainty.maps(samples)
        return np.abs(uncertainty.z_scores(truth, found.mean, found.std, REGION, K))

    half_width = uncertainty.conformal_half_width([scores(seed) for seed in range(4)])
    fresh = np.mean([uncertainty.coverage(scores(seed), half_width) for seed in range(10, 14)])
    assert fresh == pytest.approx(0.9, abs=0.02)


def test_conformal_half_width_is_the_order_statistic_and_weighs_subjects_alike():
    assert uncertainty.conformal_half_width([np.arange(1.0, 10.0)], 0.5) == 5.0  # ceil(10 / 2)-th of 9
    assert uncertainty.conformal_half_width([np.arange(1.0, 5.0)], 0.99) == 4.0
    many, few = np.full(1000, 1.0), np.array([5.0])
    assert uncertainty.conformal_half_width([many, few], 0.7) == 5.0
    for bad in ([], [np.array([])]):
        with pytest.raises(ValueError, match="at least one pixel"):
            uncertainty.conformal_half_width(bad)


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
