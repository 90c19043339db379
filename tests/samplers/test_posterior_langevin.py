"""The sampler of the posterior on real operators against dense matrices, tempered, and by ranks of prior draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import (
    TAU,
    compile_long,
    constant_measurement,
    gaussian_prior,
    half_mask,
    masked_cosine,
    mixture_prior,
)
from methods import draw
from scipy import stats

from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.mri import FourierTransform, SenseTransform
from scoreinv.operators.mri_masks import equispaced_mask
from scoreinv.prior import channelwise
from scoreinv.samplers.posterior_langevin import posterior_langevin
from scoreinv.samplers.times import geometric_times

SIDE, COUNT = 12, 32


def coils():
    """Three smooth complex sensitivities [3, SIDE, SIDE]."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    centres = ((0.0, 0.2), (1.0, 0.3), (0.4, 1.0))
    return jnp.asarray(
        [np.exp(-2 * ((y - a) ** 2 + (x - b) ** 2) + 1j * (a * x + b * y)) for a, b in centres], jnp.complex64
    )


MASK = equispaced_mask((SIDE, SIDE), 3.0, 0.1)
# operator, channels, noise
OPERATORS = {
    "complex": lambda: (LinearOperator(MASK, FourierTransform(2)), 2, 0.2),
    "sense": lambda: (LinearOperator(MASK, SenseTransform(coils())), 2, 0.1),
    "radon": lambda: (LinearOperator(jnp.ones((7, 1)), radon_transform(uniform_angles(7), (SIDE, SIDE))), 1, 0.3),
}


def dense_posterior(measurement, size, mean, tau):
    """(mean, covariance) of N(mean, tau^2 I) given the measurement, by matrices of real numbers."""
    unit = jnp.eye(size).reshape(size, SIDE, SIDE, -1)
    rows = np.asarray(jax.jit(jax.vmap(lambda e: measurement.operator(e).ravel()))(unit))
    parts = [rows.real, rows.imag] if np.iscomplexobj(rows) else [rows]
    matrix = np.concatenate(parts, 1).T.astype(np.float64)
    y = np.ravel(measurement.y)
    y = np.concatenate([y.real, y.imag]) if np.iscomplexobj(y) else y
    noise = float(measurement.noise_std)
    covariance = np.linalg.inv(matrix.T @ matrix / noise**2 + np.eye(size) / tau**2)
    return mean + covariance @ matrix.T @ (y - matrix @ np.full(size, mean)) / noise**2, covariance


# Data steps with an orthonormal transform are also those of the tempered Gaussian below.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("complex", "sense")]


@pytest.mark.parametrize("name", [*SLOW, "radon"])
def test_mean_and_covariance_are_those_of_the_dense_posterior(name):
    """In units of its own standard deviation, along its own directions: mean 0, spread 1, within sampling error."""
    operator, channels, noise_std = OPERATORS[name]()
    prior = gaussian_prior(tau=TAU, mean=0.4, shape=(SIDE, SIDE, 1))
    prior = channelwise(prior, channels) if channels == 2 else prior
    truth = 0.4 + TAU * jax.random.normal(jax.random.key(5), prior.shape)
    measurement = simulate(jax.random.key(6), operator, truth, noise_std)
    times = geometric_times(prior.sde, 199, 0.01, 1.0)
    sampler = compile_long(jax.vmap(posterior_langevin(prior, times=times, cg_steps=20), (0, None)))
    x = np.asarray(sampler(jax.random.split(jax.random.key(7), COUNT), measurement), np.float64).reshape(COUNT, -1)
    mean, covariance = dense_posterior(measurement, x.shape[1], 0.4, TAU)
    variance, directions = np.linalg.eigh(covariance)
    z = (x - mean) @ directions / np.sqrt(variance)
    known = variance < 0.5 * TAU**2
    assert 0.1 < known.mean() < 0.95
    for group in (known, ~known):
        assert abs(z[:, group].mean()) < 4 / np.sqrt(COUNT * group.sum())
        assert abs(z[:, group].std() - 1) < 0.05


def test_a_tempered_gaussian_has_the_variance_that_it_is_tempered_to():
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(1))), 1.0)
    x = draw("posterior_langevin", gaussian_prior(), measurement, count=4, temper=2.0)
    z = jax.jit(jax.vmap(measurement.operator.transform.forward))(x)[:, measurement.operator.mask == 0]
    assert abs(float(z.std()) / (np.sqrt(2.0) * TAU) - 1) < 0.03


@pytest.mark.slow
def test_prior_draws_have_uniform_ranks_among_the_draws_given_their_data():
    """Simulation-based calibration (Talts et al. 2018): 256 images of the prior, 15 draws each, three statistics.

    Two modes, half of the coefficients with unequal gains and noise: no closed form is needed.
    """
    images, count, shape = 256, 15, (16, 8, 1)
    prior = mixture_prior(shape=shape)
    gain = jax.random.uniform(jax.random.key(1), shape, minval=0.5, maxval=2.0)
    operator = masked_cosine(half_mask(jax.random.key(2), shape), gain)
    keys = jax.random.split(jax.random.key(3), 3)
    modes = jnp.where(jax.random.bernoulli(keys[0], 0.6, (images, *shape)), 1.0, -1.0)
    truths = modes + 0.3 * jax.random.normal(keys[1], modes.shape)
    measure = jax.vmap(lambda key, x: simulate(key, operator, x, 0.5))
    measurements = measure(jax.random.split(keys[2], images), truths)
    repeated = jax.tree.map(lambda a: jnp.repeat(a, count, axis=0), measurements)
    x = draw("posterior_langevin", prior, repeated, count=images * count).reshape(images, count, *shape)
    for statistic in (
        lambda image: image[..., 7, 3, 0],
        lambda image: image[..., :4, :, :].mean((-3, -2, -1)),
        lambda image: (image[..., 4:8, :, :] ** 2).mean((-3, -2, -1)),
    ):
        ranks = np.asarray((statistic(x) < statistic(truths)[:, None]).sum(1))
        counts = np.bincount(ranks, minlength=count + 1).reshape(8, 2).sum(1)
        assert stats.chisquare(counts).pvalue > 0.01, counts
