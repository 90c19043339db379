"""Total variation against scikit-image, a float64 primal-dual solver, and its symmetries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dense import dense_measurement
from skimage.restoration import denoise_tv_chambolle

from scoreinv.baselines.fista import nonnegative, normal_norm
from scoreinv.baselines.tv import gradient, gradient_adjoint, total_variation, tv, tv_prox, tv_start
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.mri import FourierTransform

KEY = jax.random.key(0)
SIMULATE = jax.jit(simulate)
PROX = jax.jit(tv_prox, static_argnums=(3, 4))


def unconstrained(x):
    return x


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    image = np.full((24, 18), 0.3, np.float32)
    image[6:15, 4:11] = 0.8
    return (image + 0.1 * rng.standard_normal(image.shape)).astype(np.float32)


def gradients_float64(shape):
    """Forward differences as two matrices on raveled images."""
    size = shape[0] * shape[1]
    unit = np.eye(size).reshape(size, *shape)
    rows = np.diff(unit, axis=1, append=unit[:, -1:])
    columns = np.diff(unit, axis=2, append=unit[:, :, -1:])
    return rows.reshape(size, size).T, columns.reshape(size, size).T


def objective_float64(matrix, y, lam, x, shape):
    rows, columns = gradients_float64(shape)
    data = np.sum(np.abs(matrix @ x - y) ** 2) / 2
    return data + lam * np.sum(np.hypot(rows @ x, columns @ x))


def minimise_float64(matrix, y, lam, shape, iterations=20000):
    """min over x >= 0 of |matrix x - y|^2 / 2 + lam TV(x) by Chambolle and Pock's primal-dual method."""
    rows, columns = gradients_float64(shape)
    stacked = np.concatenate([matrix, rows, columns])
    step = 0.99 / np.linalg.norm(stacked, 2)
    x = bar = np.zeros(stacked.shape[1])
    data, p, q = np.zeros(len(y)), np.zeros(len(rows)), np.zeros(len(rows))
    for _ in range(iterations):
        data = (data + step * (matrix @ bar - y)) / (1 + step)
        p, q = p + step * rows @ bar, q + step * columns @ bar
        shrink = np.maximum(np.hypot(p, q) / lam, 1)
        p, q = p / shrink, q / shrink
        previous = x
        x = np.maximum(x - step * (matrix.T @ data + rows.T @ p + columns.T @ q), 0)
        bar = 2 * x - previous
    return x


def test_gradient_and_its_adjoint():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 7, 2)).astype(np.float32)
    p = rng.standard_normal((2, 5, 7, 2)).astype(np.float32)
    slopes = np.asarray(jax.jit(gradient)(x))
    np.testing.assert_allclose(np.vdot(slopes, p), np.vdot(x, jax.jit(gradient_adjoint)(p)), rtol=1e-5)
    np.testing.assert_allclose(slopes[0, :-1], np.diff(x, axis=0))
    np.testing.assert_allclose(slopes[1, :, :-1], np.diff(x, axis=1))
    assert (slopes[0, -1] == 0).all() and (slopes[1, :, -1] == 0).all()


def test_total_variation_of_a_square_is_its_perimeter():
    image = jnp.zeros((20, 20, 1)).at[5:12, 6:15].set(0.5)
    # One corner pixel sees both edges at once: sqrt(2) instead of 2.
    np.testing.assert_allclose(total_variation(image), 0.5 * (2 * (7 + 9) - 2 + np.sqrt(2)), rtol=1e-5)


@pytest.mark.parametrize("lam", [0.02, 0.2])
def test_denoising_is_scikit_images(noisy, lam):
    expected = denoise_tv_chambolle(noisy.astype(np.float64), weight=lam, eps=1e-14, max_num_iter=20000)
    x, _ = PROX(jnp.asarray(noisy)[..., None], jnp.zeros((2, *noisy.shape, 1)), lam, 500, unconstrained)
    np.testing.assert_allclose(x[..., 0], expected, atol=2e-4)


def test_full_sampling_denoises_like_the_proximal_map(noisy):
    operator = LinearOperator(jnp.ones((1, 18)), FourierTransform(1))
    measurement = SIMULATE(KEY, operator, jnp.asarray(noisy)[..., None], 0.0)
    expected = denoise_tv_chambolle(noisy.astype(np.float64), weight=1.02 * 0.1, eps=1e-14, max_num_iter=20000)
    result = jax.jit(tv(lam=0.1, iterations=100))(KEY, measurement)
    np.testing.assert_allclose(result[..., 0], expected, atol=5e-4)


def test_solution_is_that_of_a_primal_dual_solver():
    rng = np.random.default_rng(1)
    shape = (7, 6)
    truth = np.zeros((*shape, 1), np.float32)
    truth[2:5, 1:4] = 1.0
    matrix = rng.standard_normal((25, 42)).astype(np.float32) / 8
    measurement = dense_measurement(matrix, truth)
    norm = float(normal_norm(KEY, measurement))
    lam = 0.01
    scaled, y = matrix.astype(np.float64) / np.sqrt(norm), np.asarray(measurement.y, np.float64) / np.sqrt(norm)
    expected = minimise_float64(scaled, y, lam, shape)
    result = jax.jit(tv(lam=lam, iterations=3000, inner_iterations=30))(KEY, measurement)
    found = np.asarray(result, np.float64).ravel()
    best = objective_float64(scaled, y, lam, expected, shape)
    np.testing.assert_allclose(objective_float64(scaled, y, lam, found, shape), best, rtol=1e-3)
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert found.min() >= 0


def test_piecewise_constant_images_are_recovered_from_few_samples():
    image = jnp.zeros((32, 32, 1)).at[8:20, 10:25].set(0.8).at[12:16, 14:18].set(0.3)
    mask = (np.random.default_rng(0).random((32, 32)) < 0.35).astype(np.float32)
    mask[14:19, 14:19] = 1
    measurement = SIMULATE(KEY, LinearOperator(jnp.asarray(mask), FourierTransform(1)), image, 0.0)
    result = jax.jit(tv(lam=1e-4, iterations=500))(KEY, measurement)
    assert jnp.sqrt(jnp.mean((result - image) ** 2)) < 2e-3
    assert jnp.sqrt(jnp.mean((measurement.operator.inverse(measurement.y) - image) ** 2)) > 0.1


def test_complex_images_commute_with_a_global_phase(noisy):
    image = noisy * np.exp(2j * noisy)
    turned = np.exp(0.7j) * image
    results = []
    for z in (image, turned):
        channels = jnp.asarray(np.stack([z.real, z.imag], -1), jnp.float32)
        x, _ = PROX(channels, jnp.zeros((2, *channels.shape)), 0.1, 200, nonnegative)
        results.append(np.asarray(x) @ [1, 1j])
    np.testing.assert_allclose(results[1], np.exp(0.7j) * results[0], atol=1e-4)
    assert results[1].real.min() < -0.1


def test_weights_are_data_and_batch(noisy):
    measurement = SIMULATE(
        KEY,
        LinearOperator(jnp.ones((1, 18)).at[0, ::3].set(0.0), FourierTransform(1)),
        jnp.asarray(noisy)[..., None],
        0.0,
    )
    traces = []

    @jax.jit
    def reconstruct(lam):
        traces.append(1)
        return tv(lam=lam, iterations=20)(KEY, measurement)

    singles = jnp.stack([reconstruct(lam) for lam in (0.0, 0.01, 0.1)])
    assert len(traces) == 1
    np.testing.assert_allclose(jax.vmap(reconstruct)(jnp.array([0.0, 0.01, 0.1])), singles, atol=1e-5)
    assert total_variation(singles[0]) > total_variation(singles[1]) > total_variation(singles[2])


def test_normal_norm_is_the_largest_singular_value_squared():
    matrix = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    measurement = dense_measurement(matrix, np.zeros((6, 5, 1), np.float32))
    expected = 1.02 * np.linalg.norm(matrix, 2) ** 2
    np.testing.assert_allclose(normal_norm(KEY, measurement), expected, rtol=1e-4)


def test_a_start_has_the_weight_of_its_noise(noisy):
    operator = LinearOperator(jnp.ones((1, 18)).at[0, ::3].set(0.0), FourierTransform(1))
    for noise_std, lam in ((0.0, 2e-4), (0.1, 0.015 / np.sqrt(1.02))):
        measurement = SIMULATE(KEY, operator, jnp.asarray(noisy)[..., None], noise_std)
        expected = jax.jit(tv(lam=lam, iterations=100))(jax.random.key(0), measurement)
        np.testing.assert_allclose(jax.jit(tv_start)(measurement), expected, atol=1e-4)
