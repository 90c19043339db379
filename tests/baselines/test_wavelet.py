"""The wavelet basis against its defining properties, the reconstruction against what sparsity promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.baselines.wavelet import analysis, check_levels, shifted_threshold, synthesis, wavelet
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.mri import FourierTransform

KEY = jax.random.key(0)
SIMULATE = jax.jit(simulate)


def test_the_transform_is_orthonormal():
    x = jax.random.normal(KEY, (32, 48, 2))
    y = jax.random.normal(jax.random.key(1), (32, 48, 2))
    np.testing.assert_allclose(synthesis(analysis(x, 2), 2), x, atol=1e-5)
    np.testing.assert_allclose(jnp.vdot(analysis(x, 2), analysis(y, 2)), jnp.vdot(x, y), rtol=1e-4, atol=1e-2)


def test_four_moments_vanish_and_a_fifth_does_not():
    t = np.arange(32) / 32
    for power, vanishes in ((0, True), (1, True), (2, True), (3, True), (4, False)):
        image = jnp.asarray((t**power)[:, None, None] * np.ones((1, 16, 1)), jnp.float32)
        # Rows 16 to 31 hold the details; the last ones wrap around the border.
        details = np.abs(analysis(image, 1)[16:28, :8]).max()
        assert (details < 1e-6) == vanishes, power


def test_coarse_coefficients_are_local_averages():
    image = jnp.full((32, 32, 1), 0.5)
    coefficients = analysis(image, 2)
    np.testing.assert_allclose(coefficients[:8, :8], 0.5 * 4, rtol=1e-5)
    np.testing.assert_allclose(coefficients.at[:8, :8].set(0), 0, atol=1e-5)


def test_thresholding_leaves_the_image_at_zero_and_its_averages_at_infinity():
    x = jax.random.normal(KEY, (32, 32, 2))
    np.testing.assert_allclose(shifted_threshold(KEY, x, 0.0, 2), x, atol=1e-5)
    shift = jax.random.randint(KEY, (2,), 0, 4)
    coarse = analysis(jnp.roll(x, shift, (0, 1)), 2)
    expected = jnp.roll(synthesis(jnp.zeros_like(x).at[:8, :8].set(coarse[:8, :8]), 2), -shift, (0, 1))
    np.testing.assert_allclose(shifted_threshold(KEY, x, 1e6, 2), expected, atol=1e-5)


def test_thresholding_shrinks_complex_magnitudes_together():
    coefficients = jnp.zeros((16, 16, 2)).at[12, 3].set(jnp.array([0.3, 0.4])).at[3, 12].set(jnp.array([0.1, 0.1]))
    shift = jax.random.randint(KEY, (2,), 0, 2)
    image = jnp.roll(synthesis(coefficients, 1), -shift, (0, 1))
    shrunk = analysis(jnp.roll(shifted_threshold(KEY, image, 0.2, 1), shift, (0, 1)), 1)
    expected = jnp.zeros_like(coefficients).at[12, 3].set(jnp.array([0.3, 0.4]) * (0.5 - 0.2) / 0.5)
    np.testing.assert_allclose(shrunk, expected, atol=1e-5)


def test_smooth_images_are_recovered_from_few_samples():
    y, x = np.mgrid[:32, :32] / 32 - 0.5
    image = jnp.asarray(np.exp(-((x - 0.1) ** 2 + 2 * y**2) / 0.02), jnp.float32)[..., None]
    mask = (np.random.default_rng(0).random((32, 32)) < 0.3).astype(np.float32)
    mask[14:19, 14:19] = 1
    measurement = SIMULATE(KEY, LinearOperator(jnp.asarray(mask), FourierTransform(1)), image, 0.0)
    errors = {}
    reconstruct = jax.jit(lambda lam: wavelet(lam=lam, iterations=150)(KEY, measurement))
    for lam in (1e-3, 10.0):
        result = reconstruct(lam)
        errors[lam] = float(jnp.sqrt(jnp.mean((result - image) ** 2)))
    zero_filled = float(jnp.sqrt(jnp.mean((measurement.operator.inverse(measurement.y) - image) ** 2)))
    assert errors[1e-3] < zero_filled / 8
    assert errors[10.0] > zero_filled / 4


def test_levels_fit_the_image():
    assert check_levels((96, 128), 4) == 4
    assert check_levels((96, 128), 9) == 4
    assert check_levels((36, 64), 4) == 2
    with pytest.raises(ValueError, match="even image sides of at least 8, not 31 x 32"):
        check_levels((31, 32), 4)
