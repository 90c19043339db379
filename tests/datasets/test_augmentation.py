"""What training images look like: each change against numpy, scipy or its distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from scoreinv.datasets.augmentation import Appearance, augment, blurred, recoloured, turned, with_phase

KEYS = jax.random.split(jax.random.key(0), 200)
IMAGE = jax.random.uniform(jax.random.key(1), (12, 12))


def test_all_eight_orientations_are_equally_likely():
    seen = np.asarray(jax.jit(jax.vmap(turned, (0, None)))(KEYS, IMAGE[..., None]))[..., 0]
    turns = [np.rot90(flipped, k) for flipped in (IMAGE, IMAGE.T) for k in range(4)]
    counts = [sum(np.array_equal(one, turn) for one in seen) for turn in turns]
    assert sum(counts) == len(KEYS) and min(counts) > 10


def test_a_blur_is_scipys_gaussian():
    key, largest = jax.random.key(3), 2.5
    deviation = float(jax.random.uniform(key, maxval=largest))
    expected = ndimage.gaussian_filter(np.asarray(IMAGE), deviation, mode="nearest", radius=10)
    np.testing.assert_allclose(blurred(key, IMAGE, largest), expected, atol=1e-5)


def test_another_contrast_is_a_piecewise_linear_curve_that_keeps_air():
    ramp = jnp.linspace(0, 1, 81).reshape(9, 9)
    curves = np.asarray(jax.jit(jax.vmap(lambda key: recoloured(key, ramp, 0.5)))(KEYS)).reshape(len(KEYS), 81)
    changed = np.abs(curves - np.asarray(ramp).ravel()).max(1) > 1e-6
    assert 70 < changed.sum() < 130 and np.all(curves[:, 0] == 0)
    expected = [np.interp(np.linspace(0, 4, 81), range(5), curve[::20]) for curve in curves[changed]]
    np.testing.assert_allclose(curves[changed], expected, atol=1e-5)
    assert curves[changed][:, 20::20].min() >= 0.2 and curves.max() <= 1


def test_two_channels_are_the_image_under_a_smooth_phase():
    seen = np.asarray(jax.jit(jax.vmap(lambda key: with_phase(key, IMAGE, 0.5, 2)))(KEYS))
    turned_by = seen[..., 0] + 1j * seen[..., 1]
    np.testing.assert_allclose(np.abs(turned_by), np.broadcast_to(IMAGE, turned_by.shape), atol=1e-5)
    phase = turned_by / np.asarray(IMAGE)
    smooth = np.abs(phase - phase[:, :1, :1]).max((1, 2)) > 1e-4
    assert 70 < smooth.sum() < 130
    # A polynomial of second degree: its third differences vanish.
    angles = np.unwrap(np.unwrap(np.angle(phase), axis=1), axis=2)
    assert np.abs(np.diff(angles, 3, axis=2)).max() < 1e-2
    # Constant phases all around the circle, so that no phase is special.
    assert np.abs(phase[~smooth][:, 0, 0].mean()) < 0.25


def test_one_channel_is_the_real_part_of_some_views_and_the_image_of_the_others():
    seen = np.asarray(jax.jit(jax.vmap(lambda key: with_phase(key, IMAGE, 0.4, 1)))(KEYS))[..., 0]
    unchanged = np.all(seen == np.asarray(IMAGE), axis=(1, 2))
    assert 90 < unchanged.sum() < 150
    assert np.all(np.abs(seen) <= np.asarray(IMAGE) + 1e-6) and seen.min() < -0.5


def test_nothing_asked_for_is_nothing_done():
    np.testing.assert_array_equal(augment(KEYS[0], IMAGE[..., None], Appearance()), IMAGE[..., None])


@pytest.mark.parametrize("field", ["recoloured", "blur", "gamma", "phases", "flip"])
def test_every_field_acts(field):
    look = Appearance(**{field: True if field == "flip" else 1.0})
    seen = np.asarray(jax.jit(jax.vmap(lambda key: augment(key, IMAGE[..., None], look)))(KEYS[:8]))
    assert np.abs(seen - np.asarray(IMAGE)[..., None]).max() > 0.05 and seen.shape == (8, 12, 12, 1)


def test_gamma_reaches_both_ends_alike():
    flat = jnp.full((4, 4, 1), 0.5)
    look = Appearance(gamma=0.5)
    powers = np.log(np.asarray(jax.jit(jax.vmap(lambda key: augment(key, flat, look)))(KEYS))[:, 0, 0, 0]) / np.log(0.5)
    assert np.abs(np.log(powers)).max() <= 0.5 + 1e-5 and abs(np.log(powers).mean()) < 0.07


def test_three_channels_are_refused():
    with pytest.raises(ValueError, match=r"model\.num_channels=3; give 1"):
        Appearance(channels=3)
