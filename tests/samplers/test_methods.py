"""What every method must do, over one table: same key same image, no cross-talk, no retracing, honest cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_posteriors import constant_measurement, gaussian_prior, half_mask, masked_cosine, mixture_prior
from methods import METHODS, TRACES, draw

from scoreinv.operators.base import Measurement
from scoreinv.samplers.calls import count_network_calls
from scoreinv.samplers.times import geometric_times

SHAPE, STEPS = (64, 8, 1), 6
PRIOR = mixture_prior(shape=SHAPE)


def measurement_of(seed, noise_std=0.1):
    """A measurement with a mask and data of its own."""
    operator = masked_cosine(half_mask(jax.random.key(seed), SHAPE))
    y = operator.mask * jax.random.normal(jax.random.key(100 + seed), SHAPE)
    return Measurement(y, operator, jnp.float32(noise_std))


def stack(measurements):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *measurements)


@pytest.mark.parametrize("name", METHODS)
def test_same_key_same_image_and_no_cross_talk_in_a_batch(name):
    """Image i of a batch depends on key i and measurement i alone, whatever its neighbours are."""
    one, two, three = (measurement_of(seed) for seed in range(3))
    first = draw(name, PRIOR, stack([one, two, three]), count=3, steps=STEPS)
    np.testing.assert_array_equal(draw(name, PRIOR, stack([one, two, three]), count=3, steps=STEPS), first)
    neighbours = draw(name, PRIOR, stack([three, two, one]), count=3, steps=STEPS)
    np.testing.assert_allclose(neighbours[1], first[1], atol=1e-5)
    assert float(jnp.abs(neighbours[0] - first[0]).max()) > 1e-2
    other_keys = draw(name, PRIOR, stack([one, two, three]), seed=1, count=3, steps=STEPS)
    assert float(jnp.abs(other_keys - first).max()) > 1e-3


@pytest.mark.parametrize("name", METHODS)
def test_nothing_but_shapes_compiles_again(name):
    """Another mask, noise level, setting, number of steps or prior is the same program; settings have an effect."""
    measurement = measurement_of(1)
    reference = draw(name, PRIOR, measurement, count=3, steps=STEPS)
    before = TRACES[name]
    for setting, value in METHODS[name].settings.items():
        changed = draw(name, PRIOR, measurement, count=3, steps=STEPS, **{setting: 0.7 * value})
        assert float(jnp.abs(changed - reference).max()) > 1e-4, setting
    longer = draw(name, PRIOR, measurement, count=3, steps=STEPS + 1)
    assert float(jnp.abs(longer - reference).max()) > 1e-4
    draw(name, mixture_prior(tau=0.2, shape=SHAPE), measurement_of(2, 0.3), count=3, steps=STEPS)
    assert TRACES[name] == before


SINGLES = [pytest.param(name, marks=[] if name in ("song2022", "dds") else pytest.mark.slow) for name in METHODS]


@pytest.mark.parametrize("name", SINGLES)
def test_a_batch_of_three_is_three_singles(name):
    """In a batch whose number of steps is data, and one by one along a grid that is as long as it says.

    With a Gaussian prior: the two modes of a mixture enlarge how differently two programs round.
    """
    row, prior = METHODS[name], gaussian_prior(shape=SHAPE)
    batch, keys = stack([measurement_of(seed) for seed in range(3)]), jax.random.split(jax.random.key(0), 3)
    times = geometric_times(prior.sde, STEPS, row.sigma_min, row.sigma_max)
    together = draw(name, prior, batch, count=3, steps=STEPS)
    single = jax.jit(row.method(prior, times=times, **row.settings, **row.structure))
    singles = [single(keys[seed], measurement_of(seed)) for seed in range(3)]
    np.testing.assert_allclose(together, jnp.stack(singles), atol=1e-4)


@pytest.mark.parametrize("steps", [2, 7])
@pytest.mark.parametrize("name", METHODS)
def test_network_calls_are_counted_right(name, steps):
    row, shape = METHODS[name], (4, 4, 1)
    prior = PRIOR.replace(shape=shape)
    measurement = constant_measurement(masked_cosine(half_mask(jax.random.key(0), shape)), 1.0, 0.1)
    times = geometric_times(prior.sde, steps, row.sigma_min, row.sigma_max)

    def method(prior):
        return row.method(prior, times=times, **row.settings, **row.structure)

    of_a_step, beside = row.calls
    assert count_network_calls(method, prior, jax.random.key(0), measurement) == of_a_step * steps + beside
