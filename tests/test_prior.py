"""Wrappers of priors: channels on their own, random circular shifts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.prior import Prior, channelwise, cycle_spinning
from scoreinv.sde import VESDE

SHAPE = (8, 12, 1)
T = jnp.float32(0.5)


def gridded_score(x, t):
    """A score with a grid of 4 x 4 blocks: each block moves towards its mean."""
    blocks = x.reshape(2, 4, 3, 4, 1)
    return jnp.broadcast_to(blocks.mean((1, 3), keepdims=True), blocks.shape).reshape(x.shape) - x


def states(count):
    return jax.random.normal(jax.random.key(0), (count, *SHAPE))


def test_each_state_is_seen_at_one_of_the_shifts_and_all_of_them_occur():
    spun = cycle_spinning(Prior(VESDE(), gridded_score, SHAPE), 4).score_fn
    x = states(120)
    found = jax.jit(jax.vmap(lambda v: spun(v, T)))(x)
    np.testing.assert_array_equal(found, jax.jit(jax.vmap(lambda v: spun(v, T)))(x))
    shifts = [(i, j) for i in range(4) for j in range(4)]
    every = [
        jnp.roll(jax.vmap(lambda v: gridded_score(v, T))(jnp.roll(x, s, (1, 2))), (-s[0], -s[1]), (1, 2))
        for s in shifts
    ]
    matches = np.array([np.abs(found - candidate).max((1, 2, 3)) < 1e-5 for candidate in every])
    assert np.all(matches.sum(0) == 1) and np.all(matches.sum(1) > 0)


def test_a_score_without_a_grid_and_period_one_stay_as_they_are():
    prior = Prior(VESDE(), lambda x, t: -x + 0.3 * jnp.roll(x, 1, 0), SHAPE)
    x = states(1)[0]
    np.testing.assert_allclose(cycle_spinning(prior, 4).score_fn(x, T), prior.score_fn(x, T), atol=1e-6)
    gridded = Prior(VESDE(), gridded_score, SHAPE)
    np.testing.assert_array_equal(cycle_spinning(gridded, 1).score_fn(x, T), gridded_score(x, T))


def test_the_gradient_passes_through_the_shift():
    spun, x = cycle_spinning(Prior(VESDE(), gridded_score, SHAPE), 4).score_fn, states(1)[0]
    # The score is linear, so x^T J x = <x, score(x)>.
    gradient = jax.grad(lambda v: jnp.vdot(spun(v, T), jax.lax.stop_gradient(x)))(x)
    np.testing.assert_allclose(jnp.vdot(gradient, x), jnp.vdot(spun(x, T), x), rtol=1e-4)


def test_channelwise_takes_priors_of_one_channel():
    prior = channelwise(Prior(VESDE(), gridded_score, SHAPE), 2)
    assert prior.shape == (8, 12, 2)
    with pytest.raises(ValueError, match="prior of 1 channel, got one of 2"):
        channelwise(prior, 2)
