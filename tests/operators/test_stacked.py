"""Blocks of slices: the operator against its slices and a dense matrix, and the posterior of a coupled Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators import ct, mri
from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.operators.linear_solvers import inner
from scoreinv.operators.stacked import stack
from scoreinv.prior import Prior, stacked
from scoreinv.samplers.data_terms import data_step
from scoreinv.sde import VESDE

SHAPE = (8, 8)
TRANSFORMS = {
    "fourier": (mri.FourierTransform(), 1),
    "fourier, complex": (mri.FourierTransform(2), 2),
    "radon": (ct.radon_transform(ct.uniform_angles(5), SHAPE), 1),
}


def block(name, tau=0.5, before=None, count=3):
    transform, channels = TRANSFORMS[name]
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((count, *SHAPE, channels)), jnp.float32)
    y = jax.jit(jax.vmap(transform.forward))(x)
    mask = jnp.asarray(rng.random(y.shape) < 0.6, jnp.float32)
    slices = Measurement(mask * y, LinearOperator(mask, transform), jnp.float32(0.1))
    return x, slices, stack(slices, (*SHAPE, channels), tau, before)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_adjoint_is_exact(name):
    x, _, measurement = block(name, before=jnp.ones((*SHAPE, TRANSFORMS[name][1])))
    z = jnp.asarray(np.random.default_rng(1).standard_normal(measurement.y.shape), measurement.y.dtype)
    left, right = inner(measurement.operator(x), z), inner(x, measurement.operator.adjoint(z))
    assert abs(left - right) < 1e-5 * jnp.linalg.norm(x.ravel()) * jnp.linalg.norm(z)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_without_coupling_a_block_is_its_slices(name):
    _, slices, measurement = block(name, tau=jnp.inf)
    mask, transform = slices.operator.mask, slices.operator.transform
    expected = jax.jit(jax.vmap(lambda m, y: LinearOperator(m, transform).adjoint(y)))(mask, slices.y)
    np.testing.assert_allclose(measurement.operator.adjoint(measurement.y), expected, atol=1e-5)
    expected = jax.jit(jax.vmap(lambda m, y: LinearOperator(m, transform).pseudo_inverse(y)))(mask, slices.y)
    np.testing.assert_allclose(measurement.operator.pseudo_inverse(measurement.y), expected, atol=1e-5)
    expected = jax.jit(jax.vmap(lambda m, y: LinearOperator(m, transform).inverse(y)))(mask, slices.y)
    np.testing.assert_allclose(measurement.operator.inverse(measurement.y), expected, atol=1e-5)


def test_the_coupled_minimiser_is_that_of_the_written_out_problem():
    tau, noise, prior_std = 0.3, 0.1, 0.7
    before = jnp.full((*SHAPE, 1), 0.4)
    _, slices, measurement = block("fourier", tau, before)
    found = jax.jit(lambda m: data_step(m.operator, m.y, (noise / prior_std) ** 2, 200))(measurement)
    # Per pixel of a fully measured frequency the problem is small; here: the whole one, dense.
    basis = jnp.eye(3 * 64).reshape(-1, 3, *SHAPE, 1)
    forward = jax.jit(jax.vmap(jax.vmap(mri.FourierTransform().forward)))
    a = np.asarray(forward(basis) * slices.operator.mask).reshape(192, -1)
    a, y = np.concatenate([a.real, a.imag], 1).T, np.asarray(slices.y).ravel()
    y = np.concatenate([y.real, y.imag])
    d = np.kron(np.eye(3) - np.eye(3, k=-1), np.eye(64))
    known = np.zeros(3 * 64)
    known[:64] = 0.4
    system = a.T @ a / noise**2 + d.T @ d / tau**2 + np.eye(192) / prior_std**2
    expected = np.linalg.solve(system, a.T @ y / noise**2 + d.T @ known / tau**2)
    np.testing.assert_allclose(np.asarray(found).ravel(), expected, atol=2e-4)


def test_a_stacked_prior_is_the_prior_of_each_slice():
    prior = Prior(VESDE(0.01, 10.0), lambda x, t: -x * x.mean() / (1 + t), (8, 8, 1))
    x, _, _ = block("fourier")
    score = stacked(prior).score_fn(x, jnp.float32(0.5))
    for one, expected in zip(x, score, strict=True):
        np.testing.assert_allclose(prior.score_fn(one, jnp.float32(0.5)), expected, rtol=1e-5)


def test_the_tables_of_a_transform_are_not_copied():
    _, _, small = block("radon", count=2)
    _, _, large = block("radon", count=6)
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(m.operator.transform)) for m in (small, large)]
    assert sizes[0] == sizes[1]
