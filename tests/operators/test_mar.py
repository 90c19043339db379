"""Metal artifact removal: segmentation, the metal trace, and the masks that come of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from scoreinv.operators import mar
from scoreinv.operators.ct import radon_transform, sparse_view_mask, uniform_angles

SHAPE, VIEWS = (48, 40), 36
FREE = jax.jit(mar.metal_free_mask)


@pytest.fixture(scope="module")
def transform():
    return radon_transform(uniform_angles(VIEWS), SHAPE)


def disc(x0, y0, radius):
    """A disc of metal on pixel centres; x to the right, y upwards."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    return jnp.asarray(np.hypot(columns[None] - x0, -rows[:, None] - y0) <= radius, jnp.float32)


def distance_to(transform, x0, y0):
    """Distance of each ray from a point, in pixels."""
    angles = np.asarray(transform.angles)[:, None]
    position = np.arange(transform.detectors) - (transform.detectors - 1) / 2
    return abs(position - (x0 * np.cos(angles) + y0 * np.sin(angles)))


def test_dilation_against_scipy():
    mask = np.random.default_rng(0).random((9, 12)) < 0.1
    for radius in ((1, 1), (0, 2)):
        size = tuple(2 * r + 1 for r in radius)
        expected = ndimage.maximum_filter(mask, size, mode="constant")
        np.testing.assert_array_equal(mar.dilate(jnp.asarray(mask, jnp.float32), radius), expected)


def test_segmentation_takes_what_is_brighter_and_its_neighbours():
    image = jnp.full((8, 8, 1), 0.7).at[3, 4].set(5.0)
    expected = np.zeros((8, 8))
    expected[2:5, 3:6] = 1
    np.testing.assert_array_equal(mar.segment_metal(image, 1.7), expected)
    np.testing.assert_array_equal(mar.segment_metal(image, 1.7, 0), np.asarray(image[..., 0]) > 1.7)


@pytest.mark.parametrize(("x0", "y0", "radius"), [(0.0, 0.0, 3.0), (-11.0, 8.0, 4.0), (9.0, -14.0, 1.2)])
def test_the_trace_holds_every_ray_through_metal_and_few_others(transform, x0, y0, radius):
    trace = 1 - np.asarray(FREE(transform, disc(x0, y0, radius)))
    distance = distance_to(transform, x0, y0)
    assert np.all(trace[distance <= radius] == 1)
    assert np.all(trace[distance > radius + 3.5] == 0)


def test_a_dilated_trace_leaves_a_bin_between_metal_and_measured_rays(transform):
    metal = disc(5.0, 3.0, 3.0)
    touched = mar.metal_trace(transform, metal, dilation=0)
    np.testing.assert_array_equal(mar.metal_trace(transform, metal, dilation=1), mar.dilate(touched, (0, 1)))


def test_sparse_metal_artifact_removal_is_a_product_of_masks(transform):
    metal = disc(0.0, 4.0, 2.0)
    views, rays = sparse_view_mask(VIEWS, 9), FREE(transform, metal)
    both = views * rays
    assert both.shape == rays.shape
    np.testing.assert_array_equal(both[::4], rays[::4])
    assert both.sum() == rays[::4].sum()


def test_no_metal_masks_nothing_and_other_metal_compiles_nothing(transform):
    FREE(transform, disc(0.0, 0.0, 3.0))
    programs = FREE._cache_size()
    assert np.all(np.asarray(FREE(transform, jnp.zeros(SHAPE))) == 1)
    FREE(transform, disc(5.0, 5.0, 8.0))
    assert FREE._cache_size() == programs


def test_interpolation_against_numpy():
    rng = np.random.default_rng(0)
    z, mask = rng.random((5, 30)), rng.random((5, 30)) < 0.6
    mask[0, :4] = mask[1, -5:] = False
    mask[2] = False
    filled = np.asarray(mar.interpolate(jnp.asarray(z, jnp.float32), jnp.asarray(mask, jnp.float32)))
    index = np.arange(30)
    for row, known, result in zip(z, mask, filled, strict=True):
        expected = np.interp(index, index[known], row[known]) if known.any() else np.zeros(30)
        np.testing.assert_allclose(result, expected, atol=1e-6)


def test_metal_is_shown_white_and_compared_as_zero():
    x, metal = jnp.full((2, 2, 1), 0.5), jnp.zeros((2, 2, 1)).at[0, 1].set(1.0)
    np.testing.assert_array_equal(mar.insert_metal(x, metal)[..., 0], [[0.5, 1.0], [0.5, 0.5]])
    np.testing.assert_array_equal(mar.remove_metal(x, metal)[..., 0], [[0.5, 0.0], [0.5, 0.5]])
    assert mar.insert_metal(x, None) is x and mar.remove_metal(x, None) is x
