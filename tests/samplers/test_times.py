"""Time grids: the levels they stop at, for every SDE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.samplers.base import integrate
from scoreinv.samplers.times import LONGEST, geometric_times, karras_times, linear_times
from scoreinv.sde import VESDE, VPSDE, SubVPSDE

SDES = [VESDE(0.01, 128.0), VPSDE(), SubVPSDE()]
GRIDS = [linear_times, geometric_times, karras_times]


def levels(sde, times):
    alpha, sigma = jax.vmap(sde.marginal_prob)(times)
    return np.asarray(sigma / alpha)


@pytest.mark.parametrize("sde", SDES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("grid", GRIDS)
def test_grids_descend_between_the_given_levels(grid, sde):
    times = grid(sde, 40, 0.02, 50.0)
    assert times.shape == (41,)
    assert np.all(np.diff(times) < 0)
    np.testing.assert_allclose(levels(sde, times)[[0, -1]], [50.0, 0.02], rtol=1e-3)


@pytest.mark.parametrize("sde", SDES, ids=lambda s: type(s).__name__)
def test_each_grid_has_its_law(sde):
    linear = linear_times(sde, 16, 0.02, 50.0)
    np.testing.assert_allclose(np.diff(linear), np.diff(linear).mean(), rtol=1e-3)
    geometric = levels(sde, geometric_times(sde, 16, 0.02, 50.0))
    np.testing.assert_allclose(geometric, np.geomspace(50.0, 0.02, 17), rtol=1e-3)
    i = np.arange(19) / 18  # Karras et al. 2022, eq. 5
    published = (50.0 ** (1 / 7) + i * (0.02 ** (1 / 7) - 50.0 ** (1 / 7))) ** 7
    np.testing.assert_allclose(levels(sde, karras_times(sde, 18, 0.02, 50.0)), published, rtol=1e-3)
    halves = levels(sde, karras_times(sde, 4, 1.0, 9.0, rho=1.0))
    np.testing.assert_allclose(halves, [9.0, 7.0, 5.0, 3.0, 1.0], rtol=1e-4)


def test_geometric_is_linear_for_ve():
    sde = VESDE(0.01, 128.0)
    np.testing.assert_allclose(geometric_times(sde, 1000, 0.01, 128.0), linear_times(sde, 1000, 0.01, 128.0), atol=2e-6)


def test_levels_are_data():
    traces = []

    @jax.jit
    def last(sigma_min, sigma_max):
        traces.append(sigma_min)
        return karras_times(VESDE(), 10, sigma_min, sigma_max)[-1]

    sde = VESDE()
    found = [sde.marginal_prob(last(jnp.float32(s), jnp.float32(9.0)))[1] for s in (0.01, 0.5)]
    np.testing.assert_allclose(found, [0.01, 0.5], rtol=1e-4)
    assert len(traces) == 1


# Each grid and each SDE once; both together when slow.
SOME = [(linear_times, 0), (geometric_times, 1), (karras_times, 2)]
PAIRS = [
    pytest.param(grid, sde, marks=[] if (grid, i) in SOME else pytest.mark.slow, id=f"{grid.__name__}-{sde.name}")
    for grid in GRIDS
    for i, sde in enumerate(SDES)
]


@pytest.mark.parametrize(("grid", "sde"), PAIRS)
def test_a_number_of_steps_that_is_an_array_compiles_one_loop(grid, sde):
    traces = []

    @jax.jit
    def run(steps):
        traces.append(steps)
        times = grid(sde, steps, 0.02, 50.0)

        def kernel(key, state, t, t_next):
            seen, i = state
            return seen.at[i].set(jnp.stack([t, t_next, jax.random.uniform(key)])), i + 1

        return times, integrate(kernel, jax.random.key(5), (jnp.zeros((LONGEST + 1, 3)), 0), times)

    for steps in (1, 2, 39, 1000, LONGEST):
        times, (seen, count) = run(jnp.int32(steps))
        exact = jax.jit(lambda steps=steps: grid(sde, steps, 0.02, 50.0))()
        assert count == steps
        np.testing.assert_array_equal(times[steps:], times[-1])
        np.testing.assert_allclose(times[: steps + 1], exact, atol=1e-6)
        np.testing.assert_array_equal(seen[:steps, 0], times[:steps])
        np.testing.assert_array_equal(seen[:steps, 1], times[1 : steps + 1])
        keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(5), i))(jnp.arange(steps))
        np.testing.assert_array_equal(seen[:steps, 2], jax.vmap(jax.random.uniform)(keys))
    assert len(traces) == 1


@pytest.mark.parametrize("grid", GRIDS)
def test_a_grid_needs_a_step(grid):
    with pytest.raises(ValueError, match="steps=0"):
        grid(VESDE(), 0, 0.01, 10.0)
