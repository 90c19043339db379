"""Linear interpolation and NMAR over a metal trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.baselines.li import back_project, li
from scoreinv.baselines.nmar import gaussian, nmar, nmar_start, normalised_interpolation
from scoreinv.operators.base import LinearOperator, Measurement, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.mar import metal_free_mask
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.weighted import WeightedTransform

KEY, N, VIEWS = jax.random.key(0), 48, 60
LI, NMAR = jax.jit(li()), jax.jit(nmar())


def body():
    """Soft tissue with two bones in air, as values of -1024 to 1024 HU."""
    rows, columns = np.mgrid[:N, :N] - (N - 1) / 2
    image = np.full((N, N), 24 / 2048)
    image[np.hypot(rows, columns) < 20] = 0.5
    for x in (-11, 11):
        image[np.hypot(rows, columns - x) < 3] = 0.95
    return jnp.asarray(image[..., None], jnp.float32)


@pytest.fixture(scope="module")
def measurement():
    transform = radon_transform(uniform_angles(VIEWS), (N, N))
    metal = jnp.zeros((N, N)).at[20:24, 22:27].set(1.0)
    return simulate(KEY, LinearOperator(metal_free_mask(transform, metal), transform), body(), 0.0)


def rmse(x):
    return float(jnp.sqrt(jnp.mean((x - body()) ** 2)))


def test_without_a_trace_both_are_filtered_back_projection(measurement):
    transform = measurement.operator.transform
    whole = simulate(KEY, LinearOperator(jnp.ones((VIEWS, 1)), transform), body(), 0.0)
    expected = transform.inverse(whole.y)
    np.testing.assert_allclose(LI(KEY, whole), expected, atol=1e-5)
    np.testing.assert_allclose(NMAR(KEY, whole), expected, atol=1e-5)


def test_both_beat_the_zero_filled_image_and_nmar_beats_interpolation(measurement):
    direct = measurement.operator.inverse(measurement.y)
    assert rmse(NMAR(KEY, measurement)) < 0.8 * rmse(LI(KEY, measurement))
    assert rmse(LI(KEY, measurement)) < 0.5 * rmse(direct)


def test_a_trace_that_reaches_the_skin_paints_no_band_along_it():
    transform = radon_transform(uniform_angles(VIEWS), (N, N))
    metal = jnp.zeros((N, N)).at[37:41, 16:32].set(1.0)
    scan = simulate(KEY, LinearOperator(metal_free_mask(transform, metal), transform), body(), 0.0)
    assert float(NMAR(KEY, scan).max()) < 1.1 * float(body().max())


def test_a_true_prior_image_completes_the_sinogram_exactly(measurement):
    completed = normalised_interpolation(measurement, body())
    true = measurement.operator.transform.forward(body())
    np.testing.assert_allclose(completed, true, atol=1e-3 * float(true.max()))


def test_measured_rays_stay_as_they_are_and_others_do_not_count(measurement):
    mask = measurement.operator.mask
    completed = normalised_interpolation(measurement, 0.8 * body())
    np.testing.assert_array_equal(completed[mask > 0], measurement.y[mask > 0])
    dirty = measurement._replace(y=jnp.where(mask > 0, measurement.y, 1e3))
    for method in (LI, NMAR):
        np.testing.assert_array_equal(method(KEY, dirty), method(KEY, measurement))


def test_rays_of_unequal_weight_are_completed_as_they_were_measured(measurement):
    y, operator, noise_std = measurement
    root = jnp.asarray(np.random.default_rng(0).uniform(0.2, 5, y.shape), jnp.float32)
    weighted = operator.replace(transform=WeightedTransform(operator.transform, root))
    for method in (LI, NMAR):
        one, other = (method(KEY, m) for m in (measurement, Measurement(root * y, weighted, noise_std)))
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_views_that_are_not_measured_stay_out(measurement):
    _, operator, _ = measurement
    sparse = operator.replace(mask=operator.mask.at[1::2].set(0.0))
    few = simulate(KEY, sparse, body(), 0.0)
    half = radon_transform(operator.transform.angles[::2], (N, N))
    alone = simulate(KEY, LinearOperator(operator.mask[::2], half), body(), 0.0)
    np.testing.assert_allclose(LI(KEY, few), LI(KEY, alone), atol=1e-4)


def test_smoothing_keeps_constants_and_has_its_width():
    np.testing.assert_allclose(gaussian(jnp.full((20, 16, 1), 0.3), 1.5), 0.3, rtol=1e-5)
    point = np.asarray(gaussian(jnp.zeros((21, 21, 1)).at[10, 10].set(1.0), 1.0))[..., 0]
    offsets = np.arange(21) - 10
    np.testing.assert_allclose((point * offsets[:, None] ** 2).sum(), 1.0, rtol=0.01)
    np.testing.assert_array_equal(gaussian(jnp.eye(8)[..., None], 0.0)[..., 0], np.eye(8))


def test_a_sampler_can_start_from_nmar(measurement):
    np.testing.assert_array_equal(jax.jit(nmar_start)(measurement), NMAR(KEY, measurement))


def test_kspace_is_refused():
    measurement = simulate(KEY, LinearOperator(jnp.ones((1, 8)), FourierTransform(1)), jnp.ones((8, 8, 1)), 0.0)
    with pytest.raises(ValueError, match="real sinograms"):
        li()(KEY, measurement)
    with pytest.raises(ValueError, match="real sinograms"):
        back_project(measurement, jnp.zeros((8, 8)))
