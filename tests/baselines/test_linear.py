"""One-shot and algebraic reconstructions against closed forms and numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dense import dense_measurement
from scipy.optimize import nnls

from scoreinv.baselines.cgls import cgls
from scoreinv.baselines.direct import direct
from scoreinv.baselines.fbp_hann import fbp_hann
from scoreinv.baselines.sirt import sirt
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.mri_masks import equispaced_mask

KEY = jax.random.key(0)
SIMULATE = jax.jit(simulate)


def test_direct_of_kspace_is_the_zero_filled_inverse_fft():
    image = jax.random.uniform(KEY, (12, 16, 2))
    operator = LinearOperator(equispaced_mask((12, 16), 2.0), FourierTransform(2))
    measurement = SIMULATE(KEY, operator, image, 0.0)
    complex_image = np.asarray(image[..., 0] + 1j * image[..., 1])
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(complex_image), norm="ortho"))
    filled = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace * np.asarray(operator.mask)), norm="ortho"))
    result = direct()(KEY, measurement)
    np.testing.assert_allclose(result[..., 0] + 1j * result[..., 1], filled, atol=1e-5)


@pytest.mark.parametrize("method", [direct(), fbp_hann()])
@pytest.mark.parametrize("step", [1, 3])
def test_masked_views_give_the_images_scale(step, method):
    y, x = np.mgrid[:64, :64] - 31.5
    disc = jnp.asarray(x**2 + y**2 <= 20**2, jnp.float32)[..., None]
    mask = jnp.zeros((90, 1)).at[::step].set(1.0)
    measurement = SIMULATE(KEY, LinearOperator(mask, radon_transform(uniform_angles(90), (64, 64))), disc, 0.0)
    inside = np.hypot(x, y) <= 15
    np.testing.assert_allclose(jax.jit(method)(KEY, measurement)[inside].mean(), 1.0, atol=0.01)


def test_the_hann_window_passes_the_noise_that_its_response_says():
    operator = LinearOperator(jnp.ones((90, 1)), radon_transform(uniform_angles(90), (64, 64)))
    noise = SIMULATE(KEY, operator, jnp.zeros((64, 64, 1)), 1.0)
    # White noise in a projection becomes noise of power (w / S)^2 in the image, integrated over the plane's w dw / w.
    response = 1 / np.asarray(operator.transform.equalizer).mean(0)
    w = np.linspace(0, np.pi, len(response))
    expected = np.sqrt(np.mean(w**2 * np.cos(w / 2) ** 4 / response) / np.mean(w**2 / response))
    ratio = np.std(fbp_hann()(KEY, noise)) / np.std(direct()(KEY, noise))
    np.testing.assert_allclose(ratio, expected, rtol=0.1)


def test_the_hann_window_is_for_sinograms():
    measurement = SIMULATE(KEY, LinearOperator(jnp.ones((1, 8)), FourierTransform(1)), jnp.ones((8, 8, 1)), 0.0)
    with pytest.raises(ValueError, match="fbp_hann takes sinograms"):
        fbp_hann()(KEY, measurement)


def test_cgls_reaches_the_least_squares_image_of_least_norm():
    rng = np.random.default_rng(0)
    image = rng.random((4, 5, 1)).astype(np.float32)
    for rows in (12, 40):
        matrix = rng.standard_normal((rows, 20)).astype(np.float32)
        measurement = dense_measurement(matrix, image)
        noisy = np.asarray(measurement.y) + rng.standard_normal(rows).astype(np.float32)
        result = cgls(iterations=25)(KEY, measurement._replace(y=jnp.asarray(noisy)))
        np.testing.assert_allclose(result.ravel(), np.linalg.lstsq(matrix, noisy, rcond=None)[0], atol=2e-3)


def test_cgls_stays_where_it_has_converged():
    operator = LinearOperator(equispaced_mask((64, 64), 4.0), FourierTransform(1))
    measurement = SIMULATE(KEY, operator, jax.random.uniform(KEY, (64, 64, 1)), 0.1)
    few, many = (jax.jit(cgls(iterations=n))(KEY, measurement) for n in (3, 100))
    np.testing.assert_allclose(many, few, atol=1e-5)


def test_sirt_reaches_the_weighted_nonnegative_least_squares_image():
    rng = np.random.default_rng(0)
    matrix = rng.random((30, 12)).astype(np.float32)
    measurement = dense_measurement(matrix, rng.random((3, 4, 1)).astype(np.float32))
    noisy = np.asarray(measurement.y) + 0.5 * rng.standard_normal(30).astype(np.float32)
    root = 1 / np.sqrt(matrix.sum(axis=1))
    expected, _ = nnls(root[:, None] * matrix, root * noisy)
    assert (expected == 0).any()
    result = jax.jit(sirt(iterations=20000))(KEY, measurement._replace(y=jnp.asarray(noisy)))
    np.testing.assert_allclose(result.ravel(), expected, atol=2e-3)


def test_sirt_reconstructs_projections():
    y, x = np.mgrid[:32, :32] - 15.5
    disc = jnp.asarray((x - 4) ** 2 + y**2 <= 8**2, jnp.float32)[..., None]
    measurement = SIMULATE(
        KEY, LinearOperator(jnp.ones((16, 1)), radon_transform(uniform_angles(16), (32, 32))), disc, 0.0
    )
    result = jax.jit(sirt(iterations=200))(KEY, measurement)
    assert jnp.mean((result - disc) ** 2) < 0.03 * jnp.mean(disc**2)
    assert result.min() >= 0


def test_sirt_refuses_complex_data():
    operator = LinearOperator(jnp.ones((1, 8)), FourierTransform(1))
    measurement = SIMULATE(KEY, operator, jnp.ones((8, 8, 1)), 0.0)
    with pytest.raises(ValueError, match=r"SIRT takes real projections.*use cgls"):
        sirt()(KEY, measurement)
