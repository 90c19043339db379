"""DPIR with the prior N(0, TAU^2 I): every coefficient follows a scalar recursion that can be written down."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.prior import Prior
from scoreinv.samplers.dpir import dpir
from scoreinv.samplers.times import geometric_times
from scoreinv.sde import VESDE, VPSDE

TAU, SHAPE, STEPS = 0.5, (16, 16, 1), 12


@flax.struct.dataclass
class Identity:
    """T = I, the simplest orthonormal transform."""

    def forward(self, x):
        return x

    def adjoint(self, z):
        return z

    def inverse(self, z, mask=None):
        return z

    def pseudo_inverse(self, mask, z):
        return mask * z


def gaussian_prior(sde):
    def score_fn(x, t):
        alpha, sigma = sde.marginal_prob(t)
        return -x / (alpha**2 * TAU**2 + sigma**2)

    return Prior(sde, score_fn, SHAPE)


def setup(sde, noise_std):
    mask = (jax.random.uniform(jax.random.key(3), SHAPE) < 0.5).astype(jnp.float32)
    y = mask * jax.random.normal(jax.random.key(4), SHAPE)
    measurement = Measurement(y, LinearOperator(mask, Identity()), jnp.float32(noise_std))
    return measurement, geometric_times(sde, STEPS, 0.05, 2.0), np.geomspace(2.0, 0.05, STEPS + 1)


@pytest.mark.parametrize("sde", [VESDE(0.01, 10.0), VPSDE()], ids=["ve", "vp"])
@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_measured_coefficients_follow_the_recursion(sde, noise_std):
    measurement, times, levels = setup(sde, noise_std)
    lam = 0.7
    found = dpir(gaussian_prior(sde), times=times, lam=lam)(jax.random.key(0), measurement)
    expected = 0.0
    for level in levels:
        damping = lam * (noise_std / level) ** 2
        shrunk = TAU**2 / (TAU**2 + level**2) * expected
        expected = (np.asarray(measurement.y) + damping * shrunk) / (1 + damping)
    mask = np.asarray(measurement.operator.mask)
    np.testing.assert_allclose(mask * found, mask * expected, atol=2e-5)


@pytest.mark.parametrize("churn", [0.5, 1.0])
def test_unmeasured_coefficients_have_the_derived_spread(churn):
    sde = VESDE(0.01, 10.0)
    measurement, times, levels = setup(sde, 0.0)
    run = jax.jit(jax.vmap(lambda key: dpir(gaussian_prior(sde), times=times, churn=churn)(key, measurement)))
    draws = np.asarray(run(jax.random.split(jax.random.key(1), 400)))
    open_ones = draws[:, np.asarray(measurement.operator.mask) == 0]
    variance = 0.0
    for level in levels:
        variance = (TAU**2 / (TAU**2 + level**2)) ** 2 * (variance + (churn * level) ** 2)
    assert open_ones.std() == pytest.approx(np.sqrt(variance), rel=0.02)
    assert abs(open_ones.mean()) < 4 * np.sqrt(variance / open_ones.size)


def test_momentum_extrapolates_the_last_change():
    sde = VESDE(0.01, 10.0)
    measurement, times, levels = setup(sde, 0.3)
    found = dpir(gaussian_prior(sde), times=times, momentum=0.5, lam=1.0)(jax.random.key(0), measurement)
    x = before = np.zeros(SHAPE)
    y, mask = np.asarray(measurement.y), np.asarray(measurement.operator.mask)
    for level in levels:
        damping = (0.3 / level) ** 2
        shrunk = TAU**2 / (TAU**2 + level**2) * (x + 0.5 * (x - before))
        x, before = np.where(mask == 1, (y + damping * shrunk) / (1 + damping), shrunk), x
    np.testing.assert_allclose(found, x, atol=2e-5)
