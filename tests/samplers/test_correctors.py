"""Correctors on Gaussian data: the distribution they leave invariant, and the length of their step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import gaussian_prior

from scoreinv.samplers.correctors import annealed_langevin, langevin
from scoreinv.sde import VESDE, VPSDE

SHAPE = (128, 128, 1)


def stationary_std(kernel, x, t, steps):
    move = jax.jit(lambda x: jax.lax.fori_loop(0, steps, lambda i, v: kernel(jax.random.key(i), v, t, t), x))
    return float(move(x).std())


@pytest.mark.parametrize("snr", [0.16, 0.5])
def test_langevin_widens_a_gaussian_by_a_known_factor(snr):
    prior, t = gaussian_prior(VPSDE(), 0.5, shape=SHAPE), jnp.float32(0.4)
    alpha, sigma = prior.sde.marginal_prob(t)
    std = float(jnp.sqrt((alpha * 0.5) ** 2 + sigma**2))
    x = std * jax.random.normal(jax.random.key(99), SHAPE)
    expected = std * np.sqrt(1 + snr**2)  # the step shrinks as the score grows, so not an AR(1) factor
    np.testing.assert_allclose(stationary_std(langevin(prior, snr), x, t, 100), expected, rtol=0.015)


@pytest.mark.parametrize("snr", [0.2, 0.6])
def test_annealed_langevin_widens_a_gaussian_by_a_known_factor(snr):
    prior = gaussian_prior(VESDE(0.01, 10.0), 0.5, shape=SHAPE)
    t = prior.sde.time_at(jnp.float32(0.7))
    variance, step = 0.5**2 + 0.7**2, 2 * (snr * 0.7) ** 2
    x = variance**0.5 * jax.random.normal(jax.random.key(99), SHAPE)
    expected = np.sqrt(variance / (1 - step / (2 * variance)))
    np.testing.assert_allclose(stationary_std(annealed_langevin(prior, snr), x, t, 100), expected, rtol=0.015)


@pytest.mark.parametrize("sde", [VESDE(0.01, 10.0), VPSDE()], ids=["ve", "vp"])
@pytest.mark.parametrize("name", ["langevin", "annealed_langevin"])
def test_step_length_is_the_published_one(name, sde):
    """2 alpha (snr |z| / |s|)^2 and 2 alpha (snr sigma)^2, alpha = 1 for VE and (alpha_t / alpha_next)^2 for VP."""
    prior, snr = gaussian_prior(sde, 0.5, 0.3, SHAPE), 0.3
    t, t_next = jnp.float32(0.7), jnp.float32(0.6)
    x = 2 * jax.random.normal(jax.random.key(0), SHAPE)
    score, sigma = np.asarray(prior.score_fn(x, t), np.float64), float(sde.marginal_prob(t)[1])
    ratio = 1.0 if isinstance(sde, VESDE) else float(sde.marginal_prob(t)[0] / sde.marginal_prob(t_next)[0]) ** 2
    length = {"langevin": np.sqrt(score.size) / np.linalg.norm(score), "annealed_langevin": sigma}[name]
    step = 2 * ratio * (snr * length) ** 2
    kernel = {"langevin": langevin, "annealed_langevin": annealed_langevin}[name](prior, snr)
    moved = np.asarray(kernel(jax.random.key(1), x, t, t_next), np.float64)
    noise = moved - np.asarray(x) - step * score
    np.testing.assert_allclose(noise.std(), np.sqrt(2 * step), rtol=0.02)
    assert abs(np.sum(noise * score) / np.linalg.norm(noise) / np.linalg.norm(score)) < 0.04


def test_langevin_survives_a_vanishing_score():
    prior = gaussian_prior(shape=(8, 8, 1)).replace(score_fn=lambda x, t: jnp.zeros_like(x))
    x = langevin(prior, 0.1)(jax.random.key(0), jnp.ones((8, 8, 1)), jnp.float32(0.5), jnp.float32(0.5))
    assert bool(jnp.isfinite(x).all())
