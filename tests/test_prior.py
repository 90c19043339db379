"""Wrappers of priors: complex images by channel and by phase, padding, random circular shifts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import build
from scoreinv.prior import (
    Prior,
    alternating,
    channelwise,
    cycle_spinning,
    low_pass,
    nearly_real,
    padded,
    phase_following,
    stacked,
    turned,
)
from scoreinv.sde import VESDE, VPSDE

SHAPE = (8, 12, 1)
T = jnp.float32(0.5)


def gridded_score(x, t):
    """A score with a grid of 4 x 4 blocks: each block moves towards its mean."""
    blocks = x.reshape(2, 4, 3, 4, 1)
    return jnp.broadcast_to(blocks.mean((1, 3), keepdims=True), blocks.shape).reshape(x.shape) - x


def score(prior, x, t=T):
    return jax.jit(prior.score_fn)(x, t)


def states(count):
    return jax.random.normal(jax.random.key(0), (count, *SHAPE))


def test_each_state_is_seen_at_one_of_the_shifts_and_all_of_them_occur():
    spun = cycle_spinning(Prior(VESDE(), gridded_score, SHAPE), 4).score_fn
    x = states(120)
    found = jax.jit(jax.vmap(lambda v: spun(v, T)))(x)
    np.testing.assert_array_equal(found, jax.jit(jax.vmap(lambda v: spun(v, T)))(x))
    shifts = [(i, j) for i in range(4) for j in range(4)]
    plain = jax.jit(jax.vmap(lambda v: gridded_score(v, T)))
    every = [np.roll(plain(np.roll(x, s, (1, 2))), (-s[0], -s[1]), (1, 2)) for s in shifts]
    matches = np.array([np.abs(found - candidate).max((1, 2, 3)) < 1e-5 for candidate in every])
    assert np.all(matches.sum(0) == 1) and np.all(matches.sum(1) > 0)


def test_a_score_without_a_grid_and_period_one_stay_as_they_are():
    prior = Prior(VESDE(), lambda x, t: -x + 0.3 * jnp.roll(x, 1, 0), SHAPE)
    x = states(1)[0]
    np.testing.assert_allclose(score(cycle_spinning(prior, 4), x, T), score(prior, x, T), atol=1e-6)
    gridded = Prior(VESDE(), gridded_score, SHAPE)
    np.testing.assert_array_equal(score(cycle_spinning(gridded, 1), x), score(gridded, x))


def test_the_gradient_passes_through_the_shift():
    spun, x = cycle_spinning(Prior(VESDE(), gridded_score, SHAPE), 4).score_fn, states(1)[0]
    # The score is linear, so x^T J x = <x, score(x)>.
    gradient = jax.grad(lambda v: jnp.vdot(spun(v, T), jax.lax.stop_gradient(x)))(x)
    np.testing.assert_allclose(jnp.vdot(gradient, x), jnp.vdot(spun(x, T), x), rtol=1e-4)


@pytest.mark.parametrize(("own", "channels"), [(1, 2), (1, 3), (2, 6)])
def test_channelwise_serves_each_part_alone(own, channels):
    one = Prior(VESDE(), lambda x, t: gridded_score(x.mean(-1, keepdims=True), t) * x, (*SHAPE[:2], own))
    prior = channelwise(one, channels)
    assert prior.shape == (8, 12, channels)
    x = jax.random.normal(jax.random.key(0), prior.shape)
    whole = score(prior, x)
    for first in range(0, channels, own):
        part = slice(first, first + own)
        np.testing.assert_allclose(whole[..., part], score(one, x[..., part]), atol=1e-6)


def test_channelwise_takes_multiples_only():
    with pytest.raises(ValueError, match="prior of 2 channels cannot serve images of 3"):
        channelwise(Prior(VESDE(), gridded_score, (8, 12, 2)), 3)


def complex_gaussian_score(sde, phase, mean, deviations, x, t):
    """The score of phase (mean + a + i b) with a, b ~ N(0, deviations^2), from the density itself."""
    alpha, sigma = sde.marginal_prob(t)

    def log_density(x):
        u = jax.lax.complex(x[..., 0], x[..., 1]) * jnp.conj(phase)
        parts = (u.real - alpha * mean, deviations[0]), (u.imag, deviations[1])
        return sum(-(part**2 / (2 * ((alpha * d) ** 2 + sigma**2))).sum() for part, d in parts)

    return jax.grad(log_density)(x)


def real_gaussian(sde, mean, deviation):
    def score(x, t):
        alpha, sigma = sde.marginal_prob(t)
        return (alpha * mean - x) / ((alpha * deviation) ** 2 + sigma**2)

    return Prior(sde, score, (*SHAPE[:2], 1))


def a_phase():
    return jnp.asarray(np.exp(1j * np.random.default_rng(0).uniform(0, 7, SHAPE[:2])), jnp.complex64)


@pytest.mark.parametrize("sde", [VESDE(0.01, 10.0), VPSDE()], ids=["ve", "vp"])
def test_a_known_phase_gives_the_score_of_the_complex_gaussian(sde):
    phase = a_phase()
    prior = turned(nearly_real(real_gaussian(sde, 0.4, 0.3), 0.05), phase)
    x = jax.random.normal(jax.random.key(1), (*SHAPE[:2], 2))
    for t in (jnp.float32(0.1), jnp.float32(0.8)):
        expected = jax.jit(lambda x, t: complex_gaussian_score(sde, phase, 0.4, (0.3, 0.05), x, t))(x, t)
        np.testing.assert_allclose(score(prior, x, t), expected, rtol=1e-4, atol=1e-4)


def denoised(prior, x, t):
    @jax.jit
    def by_tweedie(x, t):
        alpha, sigma = prior.sde.marginal_prob(t)
        return (x + sigma**2 * prior.score_fn(x, t)) / alpha

    return by_tweedie(x, t)


@pytest.mark.parametrize("sde", [VESDE(0.002, 20.0), VPSDE()], ids=["ve", "vp"])
def test_the_states_own_phase_comes_close_to_the_known_one(sde):
    """Images 0.7 +- 0.05 with a smooth phase in noise 0.1: the denoised images differ by little of that noise."""
    half = nearly_real(real_gaussian(sde, 0.7, 0.05), 0.01)
    rows, columns = np.meshgrid(*(np.arange(n) / n for n in (48, 64)), indexing="ij")
    radians = 2 * np.sin(2 * np.pi * rows) + 1.5 * np.cos(2 * np.pi * columns) + 2
    phase = jnp.asarray(np.exp(1j * radians), jnp.complex64)
    x_0 = channels(phase * (0.7 + 0.05 * jax.random.normal(jax.random.key(0), phase.shape)))
    t = jnp.float32(sde.time_at(0.1))
    alpha, sigma = sde.marginal_prob(t)
    x = alpha * x_0 + sigma * jax.random.normal(jax.random.key(1), x_0.shape)
    known, followed = denoised(turned(half, phase), x, t), denoised(phase_following(half, 1.0), x, t)
    np.testing.assert_array_less(rms(known - x_0), 0.06)
    np.testing.assert_array_less(rms(followed - x_0), 0.08)
    alone = denoised(channelwise(real_gaussian(sde, 0.7, 0.05), 2), x, t)
    assert rms(alone - x_0) > 0.2  # what a prior of magnitudes makes of real and imaginary part


def test_a_constant_phase_changes_nothing():
    prior = phase_following(nearly_real(real_gaussian(VESDE(0.01, 10.0), 0.4, 0.3), 0.01))
    x = jax.random.normal(jax.random.key(0), (*SHAPE[:2], 2))
    turn = jnp.exp(2j) * jnp.ones(SHAPE[:2])
    np.testing.assert_allclose(score(turned(prior, turn), x, T), score(prior, x, T), atol=1e-5)


def test_a_black_image_has_a_finite_score_and_gradient():
    prior = phase_following(nearly_real(real_gaussian(VESDE(0.01, 10.0), 0.4, 0.3), 0.01))
    black = jnp.zeros((*SHAPE[:2], 2))
    score, gradient = jax.jit(jax.value_and_grad(lambda x: prior.score_fn(x, T).sum()))(black)
    assert np.isfinite(score) and np.all(np.isfinite(gradient))


def channels(z):
    return jnp.stack([z.real, z.imag], -1)


def rms(x):
    return float(jnp.sqrt(jnp.mean(x**2)))


def test_the_low_pass_is_a_periodic_gaussian():
    z = jnp.zeros((64, 48), jnp.complex64).at[0, 0].set(1j)
    distance = [np.minimum(np.arange(n), n - np.arange(n)) for n in z.shape]
    expected = np.exp(-(distance[0][:, None] ** 2 + distance[1] ** 2) / (2 * 3.0**2)) / (2 * np.pi * 3.0**2)
    np.testing.assert_allclose(low_pass(z, 3.0), 1j * expected, atol=1e-6)


def blockwise_score(x, t):
    """A network that takes multiples of 4 only, and looks at neighbours."""
    if x.shape[0] % 4 or x.shape[1] % 4:
        raise ValueError(f"{x.shape}; multiples of 4")
    return jnp.roll(x, 1, 0) + jnp.roll(x, -1, 1) - 2 * x


@pytest.mark.parametrize("shape", [(8, 12, 1), (7, 9, 1), (5, 12, 1), (1, 1, 1)])
def test_padding_serves_any_sides_and_leaves_fitting_ones_alone(shape):
    prior = padded(Prior(VESDE(), blockwise_score, SHAPE))
    x = jax.random.normal(jax.random.key(0), shape)
    margins = [(0, -n % 4) for n in shape[:2]]
    expected = blockwise_score(np.pad(x, [*margins, (0, 0)], mode="symmetric"), T)[: shape[0], : shape[1]]
    np.testing.assert_allclose(score(prior, x, T), expected, atol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        (127, 109),
        pytest.param((100, 100), marks=pytest.mark.slow),
        pytest.param((640, 372), marks=pytest.mark.slow),
        (768, 396),
    ],
)
def test_the_bundled_network_takes_the_matrices_of_scanners(shape):
    prior = phase_following(nearly_real(padded(build.load_prior("brain-mri")), 0.02))
    image = jax.ShapeDtypeStruct((*shape, 2), jnp.float32)
    assert jax.eval_shape(prior.score_fn, image, jax.ShapeDtypeStruct((), jnp.float32)).shape == (*shape, 2)


def test_a_block_is_seen_in_planes_across_each_axis_in_turn():
    """A score that tells the planes apart: of each plane its mean."""
    mean = Prior(VESDE(0.01, 10.0), jax.tree_util.Partial(lambda x, t: jnp.full(x.shape, x.mean())), (3, 3, 1))
    block = jax.random.normal(jax.random.key(0), (3, 4, 5, 1))
    score = jax.jit(alternating(mean, at_once=2).score_fn)
    expected = [np.broadcast_to(block.mean([a for a in range(3) if a != axis], keepdims=True), block.shape)
                for axis in range(3)]  # fmt: skip
    seen = set()
    for t in np.linspace(0.1, 0.9, 24, dtype=np.float32):
        found = [np.allclose(score(block, jnp.float32(t)), one, atol=1e-5) for one in expected]
        assert sum(found) == 1
        seen.add(found.index(True))
    assert seen == {0, 1, 2}


def test_the_slices_of_a_block_are_shifted_along_rows_and_columns():
    position = jnp.arange(8.0)
    there = jnp.stack([position[:, None] + 0 * position, position + 0 * position[:, None]], -1)
    fixed = Prior(VESDE(0.01, 10.0), jax.tree_util.Partial(lambda x, t: there), (8, 8, 2))
    block = jax.random.normal(jax.random.key(0), (2, 8, 8, 2))
    score = cycle_spinning(stacked(fixed), 4).score_fn(block, jnp.float32(0.5))
    shifts = {tuple(np.asarray(one[0, 0] - there[0, 0]) % 8) for one in score}
    assert len(shifts) == 1  # all slices alike, and not by slices
    found = {tuple(np.asarray(cycle_spinning(stacked(fixed), 4).score_fn(block + i, jnp.float32(0.5))[0, 0, 0]) % 8)
             for i in range(12)}  # fmt: skip
    assert len({row for row, _ in found}) > 1 and len({column for _, column in found}) > 1
