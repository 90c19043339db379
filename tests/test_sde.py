"""SDEs: marginals against drift and diffusion, against published discretisations, and against simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.sde import SDE, VESDE, VPSDE, SubVPSDE

SDES = [
    pytest.param(VESDE(0.01, 128.0), id="ve"),
    pytest.param(VESDE(0.002, 20.0), id="ve-edm"),
    pytest.param(VPSDE(0.1, 20.0), id="vp"),
    pytest.param(VPSDE(5.0, 5.0), id="vp-constant"),
    pytest.param(SubVPSDE(0.1, 20.0), id="subvp"),
]
TIMES = [1e-3, 0.03, 0.2, 0.5, 0.8, 1.0]


def alpha_at(sde, t):
    return sde.marginal_prob(t)[0]


def variance_at(sde, t):
    return sde.marginal_prob(t)[1] ** 2


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize("t", TIMES)
def test_drift_is_the_rate_of_log_alpha(sde, t):
    drift, _ = sde.sde(jnp.ones(()), jnp.float32(t))
    rate = jax.grad(lambda s: jnp.log(alpha_at(sde, s)))(jnp.float32(t))
    np.testing.assert_allclose(drift, rate, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize("t", TIMES)
def test_diffusion_is_the_rate_of_the_variance_less_what_the_drift_makes(sde, t):
    t = jnp.float32(t)
    f, g = sde.sde(jnp.ones(()), t)
    rate, variance = jax.grad(lambda s: variance_at(sde, s))(t), variance_at(sde, t)
    scale = abs(float(rate)) + abs(2 * float(f * variance))
    np.testing.assert_allclose(g**2, rate - 2 * f * variance, atol=3e-5 * scale)


@pytest.mark.parametrize("sde", SDES)
def test_drift_is_linear_in_the_image(sde):
    x, t = jax.random.normal(jax.random.key(0), (4, 3, 2)), jnp.float32(0.3)
    np.testing.assert_allclose(sde.sde(x, t)[0], x * sde.sde(jnp.ones(()), t)[0], rtol=1e-6)


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize("ratio", [0.003, 0.01, 0.1, 1.0, 7.0, 20.0])
def test_time_at_inverts_sigma_over_alpha(sde, ratio):
    alpha, sigma = sde.marginal_prob(sde.time_at(jnp.float32(ratio)))
    np.testing.assert_allclose(sigma / alpha, ratio, rtol=2e-4)


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize("t", [1e-3, 0.1, 0.5, 0.9])
def test_time_at_inverts_from_the_other_side(sde, t):
    alpha, sigma = sde.marginal_prob(jnp.float32(t))
    np.testing.assert_allclose(sde.time_at(sigma / alpha), t, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sde", SDES)
def test_prior_sample_has_the_spread_of_the_last_marginal(sde):
    x = sde.prior_sample(jax.random.key(0), (256, 256))
    sigma = float(sde.marginal_prob(jnp.float32(1.0))[1])
    assert abs(float(x.mean())) < 4 * sigma / 256
    np.testing.assert_allclose(x.std(), sigma, rtol=0.01)


def test_ve_is_the_published_geometric_ladder():
    sde, levels = VESDE(0.01, 128.0), np.geomspace(0.01, 128.0, 1000)
    _, sigma = jax.vmap(sde.marginal_prob)(jnp.linspace(0.0, 1.0, 1000))
    np.testing.assert_allclose(sigma, levels, rtol=1e-5)


def test_vp_is_the_limit_of_ddpm():
    """Ho et al. 2020: 1000 steps of x <- sqrt(1 - beta_i) x + sqrt(beta_i) z with beta_i from 1e-4 to 0.02."""
    steps = 1000
    betas = np.linspace(0.1, 20.0, steps, dtype=np.float64) / steps
    alpha, sigma = jax.vmap(VPSDE().marginal_prob)(jnp.arange(1, steps + 1) / steps)
    np.testing.assert_allclose(alpha, np.sqrt(np.cumprod(1 - betas)), atol=3e-3)
    np.testing.assert_allclose(sigma, np.sqrt(1 - np.cumprod(1 - betas)), rtol=0.01, atol=3e-3)


def test_subvp_against_the_simulated_forward_equation():
    sde, steps, x0 = SubVPSDE(), 1000, 0.7

    def step(x, inputs):
        key, t = inputs
        drift, diffusion = sde.sde(x, t)
        return x + drift / steps / 2 + diffusion * jnp.sqrt(0.5 / steps) * jax.random.normal(key, x.shape), None

    middle = (jnp.arange(steps) + 0.5) / steps / 2
    x, _ = jax.lax.scan(step, jnp.full((20000,), x0), (jax.random.split(jax.random.key(0), steps), middle))
    alpha, sigma = sde.marginal_prob(jnp.float32(0.5))
    np.testing.assert_allclose(x.mean(), alpha * x0, atol=4 * float(sigma) / 20000**0.5 + 2e-3)
    np.testing.assert_allclose(x.std(), sigma, rtol=0.02)


def test_subvp_noise_never_exceeds_vp():
    t = jnp.linspace(0.01, 1.0, 50)
    (alpha, sub), (alpha_vp, vp) = (jax.vmap(s.marginal_prob)(t) for s in (SubVPSDE(), VPSDE()))
    np.testing.assert_array_equal(alpha, alpha_vp)
    assert bool(jnp.all(sub <= vp))


def test_constants_are_data():
    traces = []

    @jax.jit
    def sigma(sde, t):
        traces.append(t)
        return sde.marginal_prob(t)[1]

    first = sigma(VESDE(jnp.float32(0.01), jnp.float32(50.0)), jnp.float32(1.0))
    second = sigma(VESDE(jnp.float32(0.01), jnp.float32(90.0)), jnp.float32(1.0))
    np.testing.assert_allclose([first, second], [50.0, 90.0], rtol=1e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("sde", SDES)
def test_is_an_sde(sde):
    assert isinstance(sde, SDE)


def test_no_two_diffusions_have_equal_structures():
    """Or a compiled function takes the program of one for the other, once in 128 times or so."""
    structures = [jax.tree.structure(sde) for sde in (VESDE(), VPSDE(), SubVPSDE())]
    assert all(a != b for i, a in enumerate(structures) for b in structures[:i])
