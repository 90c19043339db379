"""Conjugate gradients and least squares against numpy, and the checks of a measurement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators import ct, mri, mri_masks
from scoreinv.operators.base import LinearOperator, Measurement, check_measurement, simulate
from scoreinv.operators.linear_solvers import conjugate_gradient, inner, least_squares


def gaussian(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def hermitian(seed, n):
    a = gaussian(seed, n, n)
    return a @ a.conj().T + n * np.eye(n)


def test_conjugate_gradient_solves_a_hermitian_system():
    m, b, x0 = hermitian(0, 12), gaussian(1, 12), gaussian(2, 12)
    matrix = jnp.asarray(m, jnp.complex64)
    x = conjugate_gradient(lambda v: matrix @ v, jnp.asarray(b, jnp.complex64), jnp.asarray(x0, jnp.complex64), 24)
    np.testing.assert_allclose(x, np.linalg.solve(m, b), atol=2e-6)


def test_conjugate_gradient_iterates_minimise_the_energy():
    # After k steps the iterate is the best of the Krylov space span(b, Mb, ...): compare with its dense minimiser.
    m, b = hermitian(0, 10).real, gaussian(1, 10).real
    krylov = np.stack([np.linalg.matrix_power(m, i) @ b for i in range(3)], axis=1)
    expected = krylov @ np.linalg.solve(krylov.T @ m @ krylov, krylov.T @ b)
    matrix = jnp.asarray(m, jnp.float32)
    x = conjugate_gradient(lambda v: matrix @ v, jnp.asarray(b, jnp.float32), jnp.zeros(10), 3)
    np.testing.assert_allclose(x, expected, rtol=1e-3, atol=1e-6)


def test_preconditioner_speeds_up_and_does_not_move_the_solution():
    scale = jnp.asarray(np.logspace(0, 4, 30), jnp.float32)
    b = jnp.asarray(gaussian(0, 30).real, jnp.float32)
    exact = np.asarray(b / scale)
    x = conjugate_gradient(lambda v: scale * v, b, jnp.zeros(30), 2, lambda r: r / scale)
    plain = conjugate_gradient(lambda v: scale * v, b, jnp.zeros(30), 2)
    np.testing.assert_allclose(x, exact, rtol=1e-5)
    assert np.linalg.norm(plain - exact) > 0.1 * np.linalg.norm(exact)


@pytest.mark.parametrize("size", [0.1, 10.0, 1000.0])
def test_conjugate_gradient_stays_where_it_converged_on_a_singular_operator(size):
    # The rounding error of the residual has a part in the null space, along which a naive step is unbounded.
    operator = LinearOperator(mri_masks.equispaced_mask((16, 16), 4, 0.06), mri.FourierTransform(1))
    truth = jnp.asarray(gaussian(0, 16, 16, 1).real, jnp.float32)
    start = size * jnp.asarray(gaussian(1, 16, 16, 1).real, jnp.float32)

    @jax.jit
    def solve(operator, truth, start):
        x = conjugate_gradient(operator.normal, operator.normal(truth), start, 200)
        return operator(x) - operator(truth)

    assert np.abs(solve(operator, truth, start)).max() <= 1e-5 * max(size, 1)


def test_zero_right_hand_side_gives_zero():
    zero = jnp.zeros((5, 1, 1))
    np.testing.assert_array_equal(conjugate_gradient(lambda v: 2 * v, zero, zero, 4), zero)
    np.testing.assert_array_equal(least_squares(lambda v: 2 * v, lambda v: 2 * v, zero, 4), zero)


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
def test_least_squares_is_the_dense_pseudo_inverse(shape):
    a = gaussian(0, *shape)
    matrix = jnp.asarray(a, jnp.complex64)
    y = gaussian(1, shape[0])

    def forward(x):
        return matrix @ (x[:, 0, 0] + 1j * x[:, 0, 1])

    def adjoint(z):
        x = matrix.conj().T @ z
        return jnp.stack([x.real, x.imag], -1)[:, None]

    x = least_squares(forward, adjoint, jnp.asarray(y, jnp.complex64), 60)
    expected = np.linalg.pinv(a) @ y
    np.testing.assert_allclose(x[:, 0, 0] + 1j * x[:, 0, 1], expected, atol=5e-4 * np.abs(expected).max())


def test_least_squares_minimises_the_weighted_residual():
    a, y = gaussian(0, 12, 5).real, gaussian(1, 12).real
    weight = np.linspace(0.2, 3, 12)
    expected = np.linalg.solve(a.T @ (weight[:, None] * a), a.T @ (weight * y))
    matrix, w = jnp.asarray(a, jnp.float32), jnp.asarray(weight, jnp.float32)
    x = least_squares(
        lambda x: matrix @ x[:, 0, 0],
        lambda z: (matrix.T @ z)[:, None, None],
        jnp.asarray(y, jnp.float32),
        20,
        lambda r: w * r,
    )
    np.testing.assert_allclose(x[:, 0, 0], expected, atol=1e-5)


def test_inner_product_of_complex_arrays_is_real():
    a, b = gaussian(0, 7), gaussian(1, 7)
    value = inner(jnp.asarray(a, jnp.complex64), jnp.asarray(b, jnp.complex64))
    np.testing.assert_allclose(value, np.vdot(a, b).real, rtol=1e-5)


@pytest.mark.parametrize(
    "operator",
    [
        LinearOperator(mri_masks.equispaced_mask((8, 6), 2, 0.2), mri.FourierTransform(2)),
        LinearOperator(ct.sparse_view_mask(9, 3), ct.radon_transform(ct.uniform_angles(9), (8, 6))),
    ],
    ids=["complex", "real"],
)
def test_simulated_noise_sits_on_every_measured_number(operator):
    x = jnp.asarray(
        gaussian(0, 8, 6, 2 if isinstance(operator.transform, mri.FourierTransform) else 1).real, jnp.float32
    )
    keys = jax.random.split(jax.random.key(0), 1000)
    y = jax.jit(jax.vmap(lambda key: simulate(key, operator, x, 0.3).y))(keys)
    noise = np.asarray(y - operator(x))
    measured = np.broadcast_to(np.asarray(operator.mask) > 0, noise.shape[1:])
    assert np.all(noise[:, ~measured] == 0)
    for part in (noise.real, noise.imag) if np.iscomplexobj(noise) else (noise,):
        np.testing.assert_allclose(part[:, measured].std(), 0.3, rtol=0.03)
        np.testing.assert_allclose(part[:, measured].mean(), 0, atol=0.01)
    if np.iscomplexobj(noise):
        assert abs(np.mean(noise.real[:, measured] * noise.imag[:, measured])) < 0.01 * 0.3


def measurement(mask, y=None, noise_std=0.0):
    operator = LinearOperator(jnp.asarray(mask, jnp.float32), mri.FourierTransform(1))
    y = jnp.ones((8, 6), jnp.complex64) if y is None else jnp.asarray(y)
    return Measurement(y, operator, jnp.float32(noise_std))


def test_good_measurements_pass():
    check_measurement(measurement(np.ones((1, 6))), (8, 6, 1))
    check_measurement(measurement(np.eye(8)[:, :6]), (8, 6, 1))
    radon = LinearOperator(ct.sparse_view_mask(9, 3), ct.radon_transform(ct.uniform_angles(9), (8, 6)))
    check_measurement(Measurement(jnp.zeros((9, 10)), radon, jnp.float32(0.1)), (8, 6, 1))


@pytest.mark.parametrize(
    ("bad", "shape", "message"),
    [
        (measurement(np.zeros((1, 6))), (8, 6, 1), "all zero"),
        (measurement(np.ones((8, 5))), (8, 6, 1), r"mask of shape \(8, 5\) for data of shape \(8, 6\)"),
        (measurement(np.ones((2, 8, 6))), (8, 6, 1), r"mask of shape \(2, 8, 6\)"),
        (measurement(np.full((1, 6), 0.5)), (8, 6, 1), "other than 0 and 1"),
        (measurement(np.ones((1, 6)), np.full((8, 6), np.nan + 0j, np.complex64)), (8, 6, 1), "NaN or Inf in 48 of 48"),
        (measurement(np.ones((1, 6)), np.full((8, 6), np.inf + 0j, np.complex64)), (8, 6, 1), "NaN or Inf"),
        (measurement(np.ones((1, 6))), (8, 8, 1), r"images of shape \(8, 8, 1\) give \(8, 8\)"),
        (measurement(np.ones((1, 6)), noise_std=np.nan), (8, 6, 1), "noise_std is nan"),
        (measurement(np.ones((1, 6)), noise_std=-1.0), (8, 6, 1), "noise_std is -1.0"),
    ],
)
def test_bad_measurements_are_refused_in_one_line(bad, shape, message):
    with pytest.raises(ValueError, match=message) as error:
        check_measurement(bad, shape)
    assert "\n" not in str(error.value)
