"""Cartesian, random and radial masks against their counts."""

import jax
import numpy as np
import pytest

from scoreinv.operators import mri_masks


@pytest.mark.parametrize(("acceleration", "center", "kept"), [(24, 2, 10), (8, 7, 31), (4, 14, 60)])
def test_equispaced_mask_keeps_the_lines_of_the_paper(acceleration, center, kept):
    mask = np.asarray(mri_masks.equispaced_mask((240, 240), acceleration, center / 240))
    assert mask.shape == (1, 240) and mask.sum() == kept
    assert mask[0, 120 - center // 2 : 120 + (center + 1) // 2].all() or mask[0, 117:124].all()
    lines = np.flatnonzero(mask[0])
    outside = lines[lines < 100]
    assert np.ptp(np.diff(outside)) <= 1


@pytest.mark.parametrize("axis", [0, 1])
def test_masks_run_along_the_phase_encoding_axis(axis):
    shape = (48, 96)
    for mask in (
        mri_masks.equispaced_mask(shape, 4, 0.08, axis),
        mri_masks.random_mask(jax.random.key(0), shape, 4, 0.08, axis),
    ):
        assert mask.shape == ((48, 1), (1, 96))[axis]
        n = shape[axis]
        assert abs(float(mask.sum()) - n / 4) <= 1
        center = round(0.08 * n)
        assert np.asarray(mask).ravel()[n // 2 - center // 2 : n // 2 + center // 2].all()


def test_full_sampling():
    assert np.all(np.asarray(mri_masks.equispaced_mask((12, 10), 1, 0.1)) == 1)
    assert np.all(np.asarray(mri_masks.random_mask(jax.random.key(0), (12, 10), 1, 0.1)) == 1)


def test_random_mask_draws_every_outer_line_equally_often():
    keys = jax.random.split(jax.random.key(0), 4000)
    masks = jax.jit(jax.vmap(lambda key: mri_masks.random_mask(key, (32, 32), 4, 0.125)))(keys)[:, 0]
    assert np.all(np.asarray(masks.sum(1)) == 8)
    frequency = np.asarray(masks.mean(0))
    np.testing.assert_array_equal(frequency[14:18], 1)
    outer = np.delete(frequency, np.arange(14, 18))
    np.testing.assert_allclose(outer, 4 / 28, atol=0.03)


def test_variable_density_falls_with_the_distance():
    keys = jax.random.split(jax.random.key(0), 200)
    masks = np.asarray(jax.jit(jax.vmap(lambda key: mri_masks.variable_density_mask(key, (32, 32), 5, 0.02)))(keys))
    assert np.all(masks.sum((1, 2)) == round(32 * 32 / 5))
    density = masks.mean(0)
    assert density[15:18, 15:18].all()
    ky, kx = np.meshgrid(np.arange(-16, 16), np.arange(-16, 16), indexing="ij")
    radius = np.hypot(ky, kx)
    rings = [density[(radius >= a) & (radius < a + 4)].mean() for a in (3, 7, 11, 15)]
    assert np.all(np.diff(rings) < -0.05)


def test_radial_mask_is_made_of_diameters():
    mask = np.asarray(mri_masks.radial_mask((33, 33), 4))
    k = np.arange(33) - 16
    lines = (k[:, None] == 0) | (k[None] == 0) | (np.abs(k[:, None]) == np.abs(k[None]))
    np.testing.assert_array_equal(mask > 0, lines & (np.hypot(k[:, None], k[None]) <= 17))
    assert np.all(np.asarray(mri_masks.radial_mask((16, 24), 1))[8] == 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mri_masks.equispaced_mask((64, 32), 33), "acceleration 33 for 32 lines"),
        (lambda: mri_masks.equispaced_mask((64, 32), 0.5), "acceleration 0.5"),
        (lambda: mri_masks.equispaced_mask((64, 32), 65, axis=0), "acceleration 65 for 64 lines"),
        (lambda: mri_masks.equispaced_mask((64, 64), 8, 0.5), "center_fraction 0.5 measures 32 of 64 lines"),
        (lambda: mri_masks.random_mask(jax.random.key(0), (64, 64), 4, -0.1), "center_fraction -0.1"),
        (lambda: mri_masks.variable_density_mask(jax.random.key(0), (8, 8), 100), "acceleration 100 for 64 lines"),
        (lambda: mri_masks.radial_mask((8, 8), 0), "0 spokes"),
    ],
)
def test_impossible_masks_are_refused(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
