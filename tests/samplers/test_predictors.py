"""Predictors on Gaussian data, whose reverse process and probability flow are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import compile_long, gaussian_prior

from scoreinv.samplers import times as times_room
from scoreinv.samplers.base import at_next, chain, integrate, keyed, tweedie
from scoreinv.samplers.conditioning import diffuse
from scoreinv.samplers.predictors import ancestral, ddim, euler_maruyama, reverse_diffusion
from scoreinv.samplers.solvers import dpm_solver_2m, heun, multistep_start, probability_flow
from scoreinv.sde import VESDE, VPSDE, SubVPSDE

geometric_times, karras_times = (
    jax.jit(grid, static_argnums=1) for grid in (times_room.geometric_times, times_room.karras_times)
)
SDES = {"ve": VESDE(0.01, 10.0), "vp": VPSDE(), "subvp": SubVPSDE()}
STOCHASTIC = {"reverse_diffusion": reverse_diffusion, "euler_maruyama": euler_maruyama, "ancestral": ancestral}
SHAPE = (128, 128, 1)
MEAN, TAU = 0.3, 0.5


def prior_of(sde, shape=SHAPE):
    return gaussian_prior(SDES[sde], TAU, MEAN, shape)


def marginal(prior, t):
    """(mean, std) of the diffused data at t."""
    alpha, sigma = prior.sde.marginal_prob(t)
    return float(alpha * MEAN), float(jnp.sqrt((alpha * TAU) ** 2 + sigma**2))


def start(prior, t, key=0):
    mean, std = marginal(prior, t)
    return mean + std * jax.random.normal(jax.random.key(key), prior.shape)


def run(predictor, prior, x, times):
    solve = compile_long(lambda prior, x, times: integrate(predictor(prior), jax.random.key(1), x, times))
    return solve(prior, x, times)


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_unconditional_samples_have_the_data_distribution(name, sde):
    prior = prior_of(sde)
    times = geometric_times(prior.sde, 500, 0.01, 8.0)
    x = run(STOCHASTIC[name], prior, start(prior, times[0]), times)
    mean, std = marginal(prior, times[-1])
    np.testing.assert_allclose(x.mean(), mean, atol=0.01)
    np.testing.assert_allclose(x.std(), std, rtol=0.015)


def final_variances(kernel, prior, grids):
    """Variance at the end of each grid of x <- a x + b z; a and b are read off each step, b up to a common factor."""

    def probe(t, t_next):
        black, white = (kernel(jax.random.key(0), jnp.full(prior.shape, v), t, t_next) for v in (0.0, 1.0))
        return (white - black).mean(), black.std()

    t, t_next = (jnp.concatenate([times[ends] for times in grids]) for ends in (slice(-1), slice(1, None)))
    moves = np.stack(jax.jit(jax.vmap(probe))(t, t_next), 1).astype(np.float64)
    variances = []
    for steps in np.split(moves, np.cumsum([len(times) - 1 for times in grids])[:-1]):
        variance = marginal(prior, grids[0][0])[1] ** 2
        for a, b in steps:
            variance = a**2 * variance + b**2
        variances.append(variance)
    return np.array(variances)


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_predictors_are_of_weak_order_one(name, sde):
    prior = gaussian_prior(SDES[sde], TAU)
    grids = [geometric_times(prior.sde, steps, 0.5, 5.0) for steps in (50, 100, 200, 400)]
    changes = np.abs(np.diff(final_variances(STOCHASTIC[name](prior), prior, grids)))
    np.testing.assert_allclose(np.log2(changes[:-1] / changes[1:]), 1.0, atol=0.15)


@pytest.mark.parametrize("sde", SDES)
@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2)])
def test_flow_kernels_have_their_order(name, order, sde):
    prior = gaussian_prior(SDES[sde], TAU)
    kernel = {"ddim": ddim(prior, 0.0), "heun": heun(prior)}[name]
    grids = [geometric_times(prior.sde, steps, 0.05, 5.0) for steps in (20, 40, 80)]
    errors = np.abs(final_variances(kernel, prior, grids) - marginal(prior, grids[0][-1])[1] ** 2)
    np.testing.assert_allclose(np.log2(errors[:-1]) - np.log2(errors[1:]), order, atol=0.3)


def flow_error(prior, x, last, times):
    """Largest error against the exact flow, which keeps (x - alpha mean) / std."""
    (mean, std), (mean_last, std_last) = marginal(prior, times[0]), marginal(prior, times[-1])
    return float(jnp.abs(last - mean_last - (x - mean) / std * std_last).max())


@pytest.mark.parametrize("sde", SDES)
def test_two_step_solver_is_of_order_two(sde):
    prior, errors = prior_of(sde, (8, 8, 1)), []
    for steps in (20, 40, 80):
        times = geometric_times(prior.sde, steps, 0.05, 5.0)
        x = start(prior, times[0])
        last = integrate(dpm_solver_2m(prior), jax.random.key(0), multistep_start(x), times).x
        errors.append(flow_error(prior, x, last, times))
    np.testing.assert_allclose(np.log2(errors[:-1]) - np.log2(errors[1:]), 2.0, atol=0.3)


@pytest.mark.parametrize("sde", ["ve", "vp"])
def test_adaptive_flow_meets_its_tolerance_in_one_step(sde):
    pytest.importorskip("diffrax")
    prior = prior_of(sde, (8, 8, 1))
    times = karras_times(prior.sde, 1, 0.02, 8.0)
    x = start(prior, times[0])
    last = run(lambda p: probability_flow(p, 1e-5), prior, x, times)
    assert flow_error(prior, x, last, times) < 3e-4


def test_ancestral_inverts_the_forward_transition():
    """With x_0 known, one step from x_t must be the joint Gaussian of the forward process, covariance included."""
    prior = gaussian_prior(VPSDE(), 1e-4, MEAN, SHAPE)
    t, t_next = jnp.float32(0.5), jnp.float32(0.3)
    x = diffuse(jax.random.key(0), prior.sde, jnp.full(SHAPE, MEAN), t)
    x_next = ancestral(prior)(jax.random.key(1), x, t, t_next)
    (alpha, _), (alpha_next, sigma_next) = prior.sde.marginal_prob(t), prior.sde.marginal_prob(t_next)
    np.testing.assert_allclose(x_next.mean(), alpha_next * MEAN, atol=0.02)
    np.testing.assert_allclose(x_next.std(), sigma_next, rtol=0.01)
    np.testing.assert_allclose(np.cov(x.ravel(), x_next.ravel())[0, 1], alpha / alpha_next * sigma_next**2, rtol=0.02)


def test_ddim_is_the_same_sampler_for_every_sde():
    """In x / alpha and sigma / alpha the step does not know the SDE, so equal keys give equal images."""

    @jax.jit
    def sample(prior, times, eta):
        x = diffuse(jax.random.key(0), prior.sde, jnp.zeros(prior.shape), times[0])
        return tweedie(prior, integrate(ddim(prior, eta), jax.random.key(1), x, times), times[-1])

    priors = [gaussian_prior(sde, TAU, MEAN, (16, 16, 1)) for sde in SDES.values()]
    for eta in (0.0, 0.6, 1.0):
        ve, vp, subvp = (sample(prior, karras_times(prior.sde, 30, 0.05, 5.0), eta) for prior in priors)
        np.testing.assert_allclose(vp, ve, atol=2e-3)
        np.testing.assert_allclose(subvp, ve, atol=2e-3)


def test_ddim_moves_the_denoised_image_and_keeps_the_noise():
    prior = gaussian_prior(VPSDE(), TAU, MEAN, (8, 8, 1))
    t, t_next = jnp.float32(0.6), jnp.float32(0.4)
    x = jax.random.normal(jax.random.key(0), prior.shape)
    moved = ddim(prior, 0.0, lambda image, s: image + s)(jax.random.key(1), x, t, t_next)
    plain = ddim(prior, 0.0)(jax.random.key(1), x, t, t_next)
    np.testing.assert_allclose(moved - plain, prior.sde.marginal_prob(t_next)[0] * t, rtol=1e-4)


def test_probability_flow_names_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffrax", None)
    with pytest.raises(ValueError, match="pip install diffrax"):
        probability_flow(prior_of("ve"))


def test_chain_runs_left_to_right_with_a_key_each():
    seen = []

    def record(name):
        def kernel(key, x, t, t_next):
            seen.append((name, float(jax.random.uniform(key)), t, t_next))
            return x + t

        return kernel

    x = chain(record("a"), at_next(record("b")))(jax.random.key(0), 0.0, 3.0, 2.0)
    assert [s[0] for s in seen] == ["a", "b"]
    assert seen[0][1] != seen[1][1]
    assert seen[0][2:] == (3.0, 2.0)
    assert seen[1][2:] == (2.0, 2.0)
    assert x == 5.0


def test_keyed_hands_out_two_different_keys():
    kernel = keyed(lambda outer: lambda key, x, t, t_next: (jax.random.normal(outer), jax.random.normal(key)))
    outer, inner = kernel(jax.random.key(0), None, None, None)
    assert float(outer) != float(inner)


def test_integrate_visits_each_interval_once_with_fresh_keys():
    def kernel(key, state, t, t_next):
        total, noise = state
        return total + t * t_next, noise.at[t.astype(int)].set(jax.random.normal(key))

    times = jnp.array([4.0, 3.0, 2.0, 1.0])
    total, noise = integrate(kernel, jax.random.key(0), (jnp.zeros(()), jnp.zeros(5)), times)
    assert float(total) == 4 * 3 + 3 * 2 + 2 * 1
    assert len(set(noise.tolist())) == 4 and float(noise[1]) == 0.0
