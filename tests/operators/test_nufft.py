"""Non-Cartesian transforms against direct sums; the equivalent Cartesian operator against the scan's own."""

import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators import mri, noncartesian
from scoreinv.operators.base import LinearOperator, Measurement, misfit_gradient
from scoreinv.operators.mri import to_channels
from scoreinv.samplers.data_terms import data_solver

pytest.importorskip("jax_finufft")
SHAPE = (12, 10)


def complex_normal(seed, *shape):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape), jnp.complex64)


def radial(spokes, samples):
    angles = np.pi * np.arange(spokes)[:, None] / spokes
    radius = np.linspace(-0.5, 0.5, samples, endpoint=False)
    return jnp.asarray(np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1).reshape(-1, 2), jnp.float32)


def dense(positions, shape):
    grids = [np.arange(n) - n // 2 for n in shape]
    rows, columns = (np.exp(-2j * np.pi * np.outer(positions[:, i], grids[i])) for i in range(2))
    return (rows[:, :, None] * columns[:, None, :]).reshape(len(positions), -1) / np.sqrt(np.prod(shape))


@pytest.mark.parametrize("shape", [SHAPE, (7, 9)])
def test_the_transform_is_the_direct_sum_and_its_adjoint_the_transpose(shape):
    positions, x, y = radial(9, 14), complex_normal(0, 2, *shape), complex_normal(1, 2, 9 * 14)
    matrix = dense(np.asarray(positions), shape)
    expected = x.reshape(2, -1) @ matrix.T
    np.testing.assert_allclose(noncartesian.nufft(x, positions), expected, atol=2e-5)
    adjoint = (y @ matrix.conj()).reshape(2, *shape)
    np.testing.assert_allclose(noncartesian.nufft_adjoint(y, positions, shape), adjoint, atol=2e-5)


def test_on_the_grid_it_is_the_fft():
    rows, columns = np.meshgrid(*((np.arange(n) - n // 2) / n for n in SHAPE), indexing="ij")
    positions = jnp.asarray(np.stack([rows.ravel(), columns.ravel()], -1), jnp.float32)
    x = complex_normal(0, *SHAPE)
    np.testing.assert_allclose(noncartesian.nufft(x, positions), mri.fft2c(x).ravel(), atol=2e-5)


def test_density_weights_of_spokes_grow_with_the_distance():
    positions = radial(24, 32)
    weights = np.asarray(noncartesian.density_compensation(positions, (16, 16)))
    distance = np.linalg.norm(positions, axis=-1)
    middle = (distance > 0.1) & (distance < 0.4)
    ratio = weights[middle] / distance[middle]
    assert np.std(ratio) < 0.25 * np.mean(ratio)


@pytest.mark.parametrize("shape", [SHAPE, (9, 7)])
def test_the_normal_operator_is_that_of_the_dense_matrix(shape):
    """A^H A by FFTs of twice the sides, with density weights and coils: sum_c S_c^H F^H W F S_c."""
    transform = made(shape)
    operator, x = LinearOperator(jnp.ones((1, 1)), transform), complex_normal(0, *shape)
    matrix = np.asarray(transform.root_weights)[:, None] * dense(np.asarray(transform.positions), shape)
    coils = np.asarray(transform.coils).reshape(3, -1)
    expected = np.sum(coils.conj() * (matrix.conj().T @ (matrix @ (coils * np.ravel(x)).T)).T, 0).reshape(shape)
    assert operator.has_fast_normal
    found = operator.normal(to_channels(x, 2))
    np.testing.assert_allclose(found, to_channels(jnp.asarray(expected), 2), atol=2e-5 * np.abs(expected).max())
    there_and_back = transform.adjoint(transform.forward(to_channels(x, 2)))
    np.testing.assert_allclose(found, there_and_back, atol=2e-5 * np.abs(expected).max())


def test_methods_take_the_normal_operator_and_end_where_the_samples_lead():
    """A mask of one number allows it, one of as many ones as samples does not."""
    transform = made(SHAPE)
    y, x = complex_normal(1, 3, 480), to_channels(complex_normal(0, *SHAPE), 2)
    fast, slow = (Measurement(y, LinearOperator(jnp.ones(n), transform), jnp.float32(0.1)) for n in ((1, 1), (1, 480)))
    assert fast.operator.has_fast_normal and not slow.operator.has_fast_normal
    for method in (lambda m: data_solver(m, 5)(x, 0.3), lambda m: misfit_gradient(m)(x)):
        expected = method(slow)
        np.testing.assert_allclose(method(fast), expected, atol=1e-4 * float(jnp.abs(expected).max()))


def made(shape, spokes=20, samples=24, coils=3):
    positions = radial(spokes, samples)
    weights = noncartesian.density_compensation(positions, shape)
    spectrum = noncartesian.toeplitz_spectrum(weights, positions, shape)
    return noncartesian.NonCartesianTransform(positions, jnp.sqrt(weights), spectrum, complex_normal(2, coils, *shape))


def test_the_adjoint_and_the_pseudo_inverse():
    transform = made(SHAPE)
    x, z = to_channels(complex_normal(0, *SHAPE), 2), complex_normal(1, 3, 480)
    there, back = jnp.vdot(transform.forward(x), z).real, jnp.vdot(x, transform.adjoint(z))
    np.testing.assert_allclose(there, back, rtol=1e-4)
    y = transform.forward(x)
    for mask in (jnp.ones((1, 1)), jnp.ones((1, 480))):
        operator = LinearOperator(mask, transform.replace(steps=40))
        misfit = operator(operator.pseudo_inverse(y)) - y
        assert float(jnp.linalg.norm(misfit) / jnp.linalg.norm(y)) < 0.01
