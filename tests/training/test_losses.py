"""On Gaussian data the minimiser of each loss is known, and so is the loss it reaches."""

import jax
import jax.numpy as jnp
import pytest

from scoreinv.sde import VESDE, VPSDE, SubVPSDE
from scoreinv.training.losses import denoising_score_matching, edm_loss, edm_loss_at, score_matching_at

TAU = 0.5
SDES = [VESDE(0.01, 10.0), VPSDE(), SubVPSDE()]


def gaussian_score(sde, scale=1.0):
    """The score of N(0, TAU^2 I), times `scale`."""

    def score_fn(x, t):
        alpha, sigma = sde.marginal_prob(t)
        return -scale * x / (alpha**2 * TAU**2 + sigma**2)

    return score_fn


def mean_loss(loss, n=64):
    keys = jax.random.split(jax.random.key(1), n)
    images = TAU * jax.random.normal(jax.random.key(0), (n, 32, 32, 1))
    return float(jnp.mean(jax.vmap(loss)(keys, images)))


@pytest.mark.parametrize("sde", SDES, ids=lambda s: type(s).__name__)
def test_score_matching_is_least_at_the_true_score(sde):
    at = {
        scale: mean_loss(lambda k, x, c=scale: denoising_score_matching(k, gaussian_score(sde, c), sde, x, 1e-3))
        for scale in (0.8, 0.9, 1.0, 1.1, 1.2)
    }
    assert min(at, key=at.get) == 1.0


@pytest.mark.parametrize("sde", SDES, ids=lambda s: type(s).__name__)
def test_score_matching_reaches_the_known_minimum(sde):
    t = jnp.float32(0.5)
    alpha, sigma = sde.marginal_prob(t)
    # The best guess of z from x_t leaves the variance alpha^2 tau^2 / (alpha^2 tau^2 + sigma^2).
    expected = float(alpha**2 * TAU**2 / (alpha**2 * TAU**2 + sigma**2))
    found = mean_loss(lambda k, x: score_matching_at(k, gaussian_score(sde), sde, x, t))
    assert found == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_edm_loss_of_the_ideal_denoiser(sigma):
    def denoiser(x, s):
        return TAU**2 / (TAU**2 + s**2) * x

    found = mean_loss(lambda k, x: edm_loss_at(k, denoiser, x, jnp.float32(sigma), TAU))
    # Residual variance tau^2 sigma^2 / (tau^2 + sigma^2) times the weight (sigma^2 + tau^2) / (sigma tau)^2.
    assert found == pytest.approx(1.0, rel=0.03)


def test_edm_loss_averages_over_its_noise_distribution():
    def denoiser(x, s):
        return jnp.zeros_like(x)

    log_mean, log_std = -1.0, 0.5
    found = mean_loss(lambda k, x: edm_loss(k, denoiser, x, TAU, log_mean, log_std), 4096)
    # mean of tau^2 (1/sigma^2 + 1/tau^2) for a log-normal sigma
    expected = 1 + TAU**2 * float(jnp.exp(-2 * log_mean + 2 * log_std**2))
    assert found == pytest.approx(expected, rel=0.05)
