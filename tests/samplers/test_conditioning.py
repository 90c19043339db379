"""The hooks and the data terms against dense linear algebra, autodiff and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import (
    TAU,
    compile_long,
    constant_measurement,
    gaussian_posterior,
    gaussian_prior,
    half_mask,
    masked_cosine,
    masked_pixels,
)

from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.samplers.base import tweedie
from scoreinv.samplers.conditioning import (
    cg_consistency,
    condition,
    diffuse,
    guide,
    image_noise,
    noisier_data_score,
    project,
    proximal,
    pseudo_inverse_start,
    unchanged,
    zero_start,
)
from scoreinv.samplers.data_terms import data_step, likelihood_score, posterior_draw, squared_norm
from scoreinv.samplers.pigdm import pseudo_inverse_guided
from scoreinv.samplers.split_gibbs import split_gibbs
from scoreinv.sde import VESDE, VPSDE

T = jnp.float32(0.4)
SMALL = (6, 5, 1)


def random_measurement(noise_std=0.0, shape=SMALL, gains=True):
    """A masked transform with unequal gains, and random data."""
    keys = jax.random.split(jax.random.key(3), 3)
    operator = masked_cosine(half_mask(keys[0], shape))
    if gains:
        gain = jax.random.uniform(keys[1], shape, minval=0.3, maxval=2.0)
        operator = LinearOperator(operator.mask, operator.transform.replace(gain=gain))
    return Measurement(operator.mask * jax.random.normal(keys[2], shape), operator, jnp.float32(noise_std))


def dense(operator, shape=SMALL):
    """A as a float64 matrix."""
    size = int(np.prod(shape))
    columns = jax.vmap(lambda e: operator(e.reshape(shape)).ravel())(jnp.eye(size))
    return np.asarray(columns, np.float64).T


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_proximal_step_is_theorem_one(lam):
    """x' = T^-1 [lam M y_t + (1 - lam) M T x + (I - M) T x], with y_t alike in mean and spread."""
    measurement, sde = random_measurement(shape=(64, 64, 1), gains=False), VPSDE()
    alpha, sigma = sde.marginal_prob(T)
    forward, mask = measurement.operator.transform.forward, np.asarray(measurement.operator.mask)
    x = jax.random.normal(jax.random.key(0), (64, 64, 1))
    before = np.asarray(forward(x))
    after = np.asarray(forward(proximal(sde, measurement, lam)(jax.random.key(1), x, T, T)))
    np.testing.assert_allclose(after[mask == 0], before[mask == 0], atol=2e-6)
    added = (after - (1 - lam) * before - lam * alpha * measurement.y)[mask == 1]
    np.testing.assert_allclose(added.mean(), 0.0, atol=4 * lam * sigma / 45 + 1e-6)
    np.testing.assert_allclose(added.std(), lam * sigma, rtol=0.05, atol=1e-6)


def test_image_noise_is_that_of_the_pseudo_inverse():
    """noise_std over the gain; for several gains the root mean square of noise_std over each."""
    operator = masked_cosine(half_mask(jax.random.key(0), (64, 64, 1)), gain=2.0)
    measurement = constant_measurement(operator, 1.0, 0.3)
    np.testing.assert_allclose(image_noise(measurement), 0.15, rtol=1e-4)
    assert float(image_noise(constant_measurement(operator, 1.0))) == 0.0
    measurement = random_measurement(0.3, (64, 64, 1))
    gain = np.asarray(measurement.operator.transform.gain)[np.asarray(measurement.operator.mask) == 1]
    np.testing.assert_allclose(image_noise(measurement), 0.3 * np.sqrt(np.mean(gain**-2.0)), rtol=0.02)


@pytest.mark.parametrize("sde", [VESDE(0.01, 10.0), VPSDE()], ids=["ve", "vp"])
@pytest.mark.parametrize("level", [0.2, 0.8])
def test_proximal_step_that_follows_the_noise(level, sde):
    """Above the noise level of the data their coefficients get the noise that they lack; below it nothing moves."""
    shape, noise_std, t = (64, 64, 1), jnp.float32(0.5), sde.time_at(jnp.float32(level))
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(3), shape)), 2.0, noise_std)
    alpha, sigma = sde.marginal_prob(t)
    x = jax.random.normal(jax.random.key(0), shape)
    moved = proximal(sde, measurement, 1.0, noise_std)(jax.random.key(1), x, t, t)
    after = np.asarray(measurement.operator.transform.forward(moved))[np.asarray(measurement.operator.mask) == 1]
    if level < 0.5:
        np.testing.assert_array_equal(moved, x)
    else:
        np.testing.assert_allclose(after.mean(), 2.0 * alpha, atol=4 * sigma / 45)
        np.testing.assert_allclose(after.std() ** 2 + (alpha * 0.5) ** 2, sigma**2, rtol=0.08)


@pytest.mark.parametrize("sde", [VESDE(0.01, 10.0), VPSDE()], ids=["ve", "vp"])
def test_score_of_data_noisier_than_the_state(sde):
    measurement, t = random_measurement(0.5, gains=False), sde.time_at(jnp.float32(0.2))
    x = jax.random.normal(jax.random.key(0), SMALL)
    alpha, _ = sde.marginal_prob(t)

    def log_likelihood(x):
        return -jnp.sum((measurement.y - measurement.operator(x) / alpha) ** 2) / (2 * (0.5**2 - 0.2**2))

    found = noisier_data_score(sde, measurement, 0.5)
    np.testing.assert_allclose(found(x, t), jax.grad(log_likelihood)(x), rtol=1e-3, atol=1e-4)
    assert not found(x, sde.time_at(jnp.float32(0.6))).any()


def test_project_lands_on_the_data():
    measurement = random_measurement()
    x = jax.random.normal(jax.random.key(0), SMALL)
    np.testing.assert_allclose(measurement.operator(project(measurement, x)), measurement.y, atol=1e-5)
    halfway = measurement.operator(project(measurement, x, 0.5))
    np.testing.assert_allclose(halfway, (measurement.y + measurement.operator(x)) / 2, atol=1e-5)


@pytest.mark.parametrize("damping", [0.0, 0.2, 3.0])
def test_data_step_solves_the_damped_least_squares(damping):
    measurement = random_measurement()
    matrix, y = dense(measurement.operator), np.asarray(measurement.y, np.float64).ravel()
    stacked = np.vstack([matrix, np.sqrt(damping) * np.eye(matrix.shape[1])])
    expected = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros(matrix.shape[1])]), rcond=1e-10)[0]
    found = data_step(measurement.operator, measurement.y, damping, 30)
    np.testing.assert_allclose(np.ravel(found), expected, atol=2e-5)


def test_data_step_takes_conjugate_gradient_steps():
    """The iterate after k steps minimises the residual over the k-th Krylov space."""
    measurement = random_measurement()
    matrix, y = dense(measurement.operator), np.asarray(measurement.y, np.float64).ravel()
    normal, right = matrix.T @ matrix, matrix.T @ y
    krylov = np.stack([np.linalg.matrix_power(normal, k) @ right for k in range(3)], 1)
    coefficients = np.linalg.lstsq(matrix @ krylov, y, rcond=None)[0]
    found = data_step(measurement.operator, measurement.y, 0.0, 3)
    np.testing.assert_allclose(np.ravel(found), krylov @ coefficients, atol=1e-4)


@pytest.mark.parametrize("damping", [0.0, 0.2])
@pytest.mark.parametrize("scale", [0.1, 1.0, 1000.0])
def test_data_step_stays_put_once_it_has_converged(scale, damping):
    """A Fourier-like mask converges in one step; the other 49 must not amplify rounding errors."""
    shape = (64, 64, 1)
    operator = masked_cosine(half_mask(jax.random.key(0), shape))
    x = scale * jax.random.normal(jax.random.key(1), shape)
    measurement = constant_measurement(operator, 1.0)
    expected = x + operator.pseudo_inverse(measurement.y - operator(x)) / (1 + damping)
    found = cg_consistency(measurement, damping, 50)(x, T)
    np.testing.assert_allclose(found, expected, atol=3e-6 * max(scale, 1.0))


def test_posterior_draw_has_the_posterior_mean_and_covariance():
    measurement, std = random_measurement(noise_std=0.4), 0.7
    center = jax.random.normal(jax.random.key(5), SMALL)
    keys = jax.random.split(jax.random.key(0), 20000)
    draws = jax.jit(jax.vmap(lambda k: posterior_draw(k, measurement, center, std, 30)))(keys)
    matrix = dense(measurement.operator)
    covariance = np.linalg.inv(matrix.T @ matrix / 0.4**2 + np.eye(matrix.shape[1]) / std**2)
    mean = covariance @ (matrix.T @ np.ravel(measurement.y) / 0.4**2 + np.ravel(center) / std**2)
    draws = np.asarray(draws, np.float64).reshape(20000, -1)
    np.testing.assert_allclose(draws.mean(0), mean, atol=4 * std / 20000**0.5)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=5 * std**2 / 20000**0.5)


def test_posterior_draw_of_exact_data_is_exact():
    measurement = random_measurement(noise_std=0.0)
    draw = posterior_draw(jax.random.key(0), measurement, jnp.zeros(SMALL), 0.7, 30)
    np.testing.assert_allclose(measurement.operator(draw), measurement.y, atol=1e-4)
    assert float(draw.std()) > 0.3


def test_squared_norm_is_the_largest_eigenvalue():
    measurement = random_measurement()
    expected = np.linalg.norm(dense(measurement.operator), 2) ** 2
    np.testing.assert_allclose(squared_norm(measurement, 200), expected, rtol=1e-3)
    assert 0.8 * expected < float(squared_norm(measurement)) < expected * (1 + 1e-5)
    np.testing.assert_allclose(squared_norm(random_measurement(gains=False)), 1.0, rtol=1e-4)


@pytest.mark.parametrize("noisy", [False, True])
def test_likelihood_score_is_the_gradient_of_the_log_likelihood(noisy):
    measurement, sde = random_measurement(noise_std=0.3), VPSDE()
    z = jax.random.normal(jax.random.key(1), SMALL) if noisy else None
    x = jax.random.normal(jax.random.key(2), SMALL)
    alpha, sigma = sde.marginal_prob(T)

    def log_likelihood(x):
        y_t = alpha * measurement.y + (sigma * measurement.operator(z) if noisy else 0.0)
        width = 2.0 * (0.8 * sigma) ** 2 + (alpha * 0.3) ** 2
        return -jnp.sum((measurement.operator(x) - y_t) ** 2) / (2 * width)

    found = likelihood_score(sde, measurement, 0.8, jnp.float32(2.0), z)(x, T)
    np.testing.assert_allclose(found, jax.grad(log_likelihood)(x), rtol=1e-4, atol=1e-5)


def test_likelihood_score_by_pseudo_inverse_moves_all_measured_directions_alike():
    measurement, sde = random_measurement(noise_std=0.3), VPSDE()
    x, scale = jax.random.normal(jax.random.key(2), SMALL), jnp.float32(2.0)
    alpha, sigma = sde.marginal_prob(T)
    width = (0.8 * sigma) ** 2 + (alpha * 0.3) ** 2 / scale
    found = likelihood_score(sde, measurement, 0.8, scale, pseudo_inverse=True)(x, T)
    expected = (alpha * measurement.y - measurement.operator(x)) / width
    np.testing.assert_allclose(measurement.operator(found), expected, rtol=1e-4, atol=1e-4)


def test_condition_moves_the_denoised_image_as_told():
    prior = gaussian_prior(VPSDE(), shape=SMALL)
    x = jax.random.normal(jax.random.key(0), SMALL)
    np.testing.assert_allclose(condition(prior, unchanged).score_fn(x, T), prior.score_fn(x, T), rtol=1e-4, atol=1e-6)
    shifted = tweedie(condition(prior, lambda image, t: image + t), x, T)
    np.testing.assert_allclose(shifted, tweedie(prior, x, T) + T, rtol=1e-4, atol=1e-5)


def test_consistency_of_exact_data_is_the_projection():
    measurement = random_measurement()
    x = jax.random.normal(jax.random.key(0), SMALL)
    by_cg = cg_consistency(measurement, 0.0, 30)(x, T)
    np.testing.assert_allclose(project(measurement, x), by_cg, atol=2e-5)


def test_guide_adds_to_the_score():
    prior = gaussian_prior(shape=SMALL)
    x = jnp.ones(SMALL)
    np.testing.assert_allclose(guide(prior, lambda v, t: v * t).score_fn(x, T) - prior.score_fn(x, T), T, rtol=1e-5)


@pytest.mark.parametrize("sde", [VESDE(0.01, 10.0), VPSDE()], ids=["ve", "vp"])
@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_pseudo_inverse_guidance_is_the_posterior_score_of_a_gaussian(noise_std, sde):
    """Diffusing the posterior N(m, v) of each coefficient gives the score -(z - alpha m) / (alpha^2 v + sigma^2)."""
    operator = masked_cosine(half_mask(jax.random.key(0)))
    measurement = constant_measurement(operator, 0.8, noise_std)
    t = sde.time_at(jnp.float32(0.6))
    x = jax.random.normal(jax.random.key(1), operator.mask.shape)
    score = pseudo_inverse_guided(gaussian_prior(sde), measurement, TAU, 5).score_fn(x, t)
    alpha, sigma = sde.marginal_prob(t)
    mean, std = gaussian_posterior(0.8, noise_std)
    on = np.asarray(operator.mask) > 0
    mean, variance = np.where(on, mean, 0.0), np.where(on, std**2, TAU**2)
    expected = (alpha * mean - operator.transform.forward(x)) / (alpha**2 * variance + sigma**2)
    np.testing.assert_allclose(operator.transform.forward(score), expected, rtol=1e-3, atol=1e-3)


def test_starts_and_diffusion():
    operator = masked_pixels(jnp.ones((512, 8, 1)), gain=2.0)
    measurement = constant_measurement(operator, 3.0)
    assert not zero_start(measurement).any()
    np.testing.assert_allclose(pseudo_inverse_start(measurement), 1.5)
    sde = VPSDE()
    alpha, sigma = sde.marginal_prob(T)
    x = diffuse(jax.random.key(0), sde, pseudo_inverse_start(measurement), T)
    np.testing.assert_allclose(x.mean(), 1.5 * alpha, atol=4 * sigma / 64)
    np.testing.assert_allclose(x.std(), sigma, rtol=0.05)


@pytest.mark.slow
def test_split_gibbs_at_one_coupling_has_its_stationary_distribution():
    """p(x | y) of the coupled pair is the posterior for noise_std^2 + rho^2, the coupling counting as noise."""
    prior, rho = gaussian_prior(shape=(512, 8, 1)), 0.2
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(0), prior.shape)), 1.0, 0.25)
    times = jnp.full(30, prior.sde.time_at(rho))
    sample = compile_long(jax.vmap(split_gibbs(prior, times=times, sigma_min=0.005, prior_steps=100), (0, None)))
    x = jax.vmap(measurement.operator.transform.forward)(sample(jax.random.split(jax.random.key(0), 4), measurement))
    on = np.broadcast_to(measurement.operator.mask, x.shape) > 0
    mean, std = gaussian_posterior(1.0, np.hypot(0.25, rho))
    np.testing.assert_allclose([x[on].mean(), x[on].std()], [mean, std], atol=0.02 * TAU)
    np.testing.assert_allclose([x[~on].mean(), x[~on].std()], [0.0, TAU], atol=0.03 * TAU)
