"""Metrics against closed forms and scikit-image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from scoreinv.evaluation.metrics import circular_region, magnitude, psnr, rmse, ssim


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :53] / 10
    truth = (0.5 + 0.4 * np.sin(x) * np.cos(y)).astype(np.float32)
    noisy = np.clip(truth + 0.1 * rng.standard_normal(truth.shape), 0, 1).astype(np.float32)
    return noisy, truth


def test_psnr_and_ssim_are_scikit_images(pair):
    noisy, truth = pair
    images = [jnp.asarray(a)[..., None] for a in pair]
    expected = structural_similarity(
        truth, noisy, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
    )
    np.testing.assert_allclose(ssim(*images), expected, atol=1e-4)
    np.testing.assert_allclose(psnr(*images), peak_signal_noise_ratio(truth, noisy, data_range=1.0), atol=1e-4)


def test_constant_offset_has_closed_forms():
    truth = jnp.full((16, 16, 1), 0.4)
    np.testing.assert_allclose(psnr(truth + 0.1, truth), 20.0, rtol=1e-5)
    np.testing.assert_allclose(rmse(truth + 0.1, truth), 0.1, rtol=1e-5)
    luminance = (2 * 0.4 * 0.5 + 1e-4) / (0.4**2 + 0.5**2 + 1e-4)
    np.testing.assert_allclose(ssim(truth + 0.1, truth), luminance, rtol=1e-4)
    assert psnr(truth, truth) == jnp.inf


def test_values_outside_the_range_are_clipped_for_psnr_and_ssim_only(pair):
    noisy, truth = (jnp.asarray(a)[..., None] for a in pair)
    far = jnp.where(noisy > 0.9, 7.0, noisy)
    near = jnp.where(noisy > 0.9, 1.0, noisy)
    assert psnr(far, truth) == psnr(near, truth)
    assert ssim(far, truth) == ssim(near, truth)
    assert rmse(far, truth) > 2 * rmse(near, truth)


def test_region_restricts_the_mean(pair):
    noisy, truth = (jnp.asarray(a)[..., None] for a in pair)
    left = jnp.zeros(truth.shape[:2]).at[:, :20].set(1.0)
    np.testing.assert_allclose(psnr(noisy, truth, left), psnr(noisy[:, :20], truth[:, :20]), rtol=1e-6)
    np.testing.assert_allclose(rmse(noisy, truth, 2 * left), rmse(noisy[:, :20], truth[:, :20]), rtol=1e-6)
    # Windows of the pixels left of column 20 reach 5 pixels further.
    np.testing.assert_allclose(ssim(noisy, truth, left), ssim(noisy[:, :25], truth[:, :25]), rtol=1e-6)


def test_complex_images_compare_by_magnitude(pair):
    noisy, truth = (jnp.asarray(a)[..., None] for a in pair)
    phase = jnp.linspace(0, 3, truth.size).reshape(truth.shape)
    rotated = jnp.concatenate([noisy * jnp.cos(phase), noisy * jnp.sin(phase)], -1)
    np.testing.assert_allclose(magnitude(rotated), noisy[..., 0], atol=1e-6)
    two = jnp.concatenate([0.6 * rotated, -0.8 * rotated], -1)  # two coils: the root sum of squares
    np.testing.assert_allclose(magnitude(two), noisy[..., 0], atol=1e-6)
    complex_truth = jnp.concatenate([truth, jnp.zeros_like(truth)], -1)
    np.testing.assert_allclose(psnr(rotated, complex_truth), psnr(noisy, truth), rtol=1e-5)
    np.testing.assert_allclose(ssim(rotated, complex_truth), ssim(noisy, truth), rtol=1e-4)
    error = np.hypot(*np.moveaxis(np.asarray(rotated - complex_truth), -1, 0))
    np.testing.assert_allclose(rmse(rotated, complex_truth), np.sqrt(np.mean(error**2)), rtol=1e-5)


def test_metrics_batch_by_vmap(pair):
    noisy, truth = (jnp.asarray(a)[..., None] for a in pair)
    batch = jnp.stack([noisy, truth * 0.9, noisy * 0.5])
    for metric in (psnr, ssim, rmse):
        together = jax.jit(jax.vmap(metric, (0, None)))(batch, truth)
        np.testing.assert_allclose(together, [metric(x, truth) for x in batch], rtol=1e-5)


def test_circular_region_has_the_circles_area():
    region = circular_region((200, 240), 0.8)
    np.testing.assert_allclose(region.sum(), np.pi * 80**2, rtol=0.005)
    assert region[100, 120] == 1 and region[100, 30] == 0


def test_wrong_images_are_refused():
    with pytest.raises(ValueError, match="3 channels; allowed"):
        psnr(jnp.zeros((16, 16, 3)), jnp.zeros((16, 16, 3)))
    with pytest.raises(ValueError, match="10 x 16; SSIM needs"):
        ssim(jnp.zeros((10, 16, 1)), jnp.zeros((10, 16, 1)))
