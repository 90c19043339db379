"""Views of slices, by numpy and inside a compiled step: native pixels, scales, places."""

import jax
import numpy as np
import pytest

from scoreinv.datasets import views as views_module
from scoreinv.datasets.pyramid import draw_view, make_pyramid
from scoreinv.datasets.views import Views, native_view, random_view, view

RNG = np.random.default_rng(0)
SLICE = RNG.random((32, 40)).astype(np.float32)
KEYS = jax.random.split(jax.random.key(0), 64)


def is_a_patch(small, image):
    """Whether an image is a part of another, pixel by pixel, to the precision of float16."""
    patches = np.lib.stride_tricks.sliding_window_view(image, small.shape)
    return np.abs(patches - small).max((2, 3)).min() < 1e-3


def draws(images, crop, views):
    pyramid = make_pyramid(images, views)
    each = jax.vmap(lambda key, pyramid: draw_view(key, pyramid, crop, views), (0, None))
    return np.asarray(jax.jit(each)(KEYS, pyramid))[..., 0]


def test_a_native_view_copies_pixels_and_is_black_beyond_the_border():
    np.testing.assert_array_equal(native_view(SLICE, 16), SLICE[8:24, 12:28])
    np.testing.assert_array_equal(native_view(SLICE, 14, (2.0, -3.0)), SLICE[11:25, 10:24])
    large = native_view(SLICE, 48)
    np.testing.assert_array_equal(large[8:40, 4:44], SLICE)
    assert large.sum() == pytest.approx(SLICE.sum(), rel=1e-5)


def test_a_share_of_the_views_are_unresampled_pixels():
    by_numpy = [random_view(np.random.default_rng(i), SLICE, Views(12, (0.3, 1.0), 20.0, 0.5)) for i in range(100)]
    assert 30 < sum(is_a_patch(seen, SLICE) for seen in by_numpy) < 70
    on_device = draws([SLICE], 12, Views(12, (0.3, 1.0), 20.0, 0.5))
    assert 18 < sum(is_a_patch(seen, SLICE) for seen in on_device) < 46


def test_octaves_are_seen_equally_often_and_none_is_finer_than_the_slice(monkeypatch):
    seen = []
    blank = np.zeros((32, 32), np.float32)
    monkeypatch.setattr(views_module, "view", lambda image, size, fraction, *rest: seen.append(fraction) or blank)
    for i in range(400):
        random_view(np.random.default_rng(i), np.zeros((128, 128), np.float32), Views(32, (0.1, 1.0)))
    assert min(seen) >= 0.25 and max(seen) <= 1
    assert np.mean(np.array(seen) < 0.5) == pytest.approx(0.5, abs=0.07)
    seen.clear()
    random_view(np.random.default_rng(0), np.zeros((16, 16), np.float32), Views(32, (0.7, 1.1)))
    assert seen == [pytest.approx(1.1)]  # a small slice is enlarged no more than it must be


def test_views_on_the_device_have_the_scales_and_turns_asked_for():
    rows, columns = np.mgrid[:64, :64] / 100
    ramp = (0.2 + 0.5 * rows + 0.3 * columns).astype(np.float32)
    seen = draws([ramp, ramp], 8, Views(16, (0.1, 0.5), 30.0))
    down, right = np.diff(seen, axis=1)[:, :, :-1], np.diff(seen, axis=2)[:, :-1]
    down, right = (np.median(part, axis=(1, 2)) * 100 for part in (down, right))  # of the slice, per pixel of the view
    pixel = np.hypot(down, right) / np.hypot(0.5, 0.3)
    assert 0.95 < pixel.min() < 1.2 and 1.7 < pixel.max() < 2.1
    assert np.mean(pixel < 2**0.5) == pytest.approx(0.5, abs=0.2)
    turn = np.rad2deg(np.arctan2(right, down) - np.arctan2(0.3, 0.5))
    assert -32 < turn.min() < -10 and 10 < turn.max() < 32


def test_a_whole_slice_drawn_on_the_device_is_the_slice_and_half_of_it_the_resampled_one():
    smooth = np.asarray(jax.image.resize(RNG.random((8, 8)), (32, 32), "cubic")).clip(0, 1).astype(np.float32)
    whole = draws([smooth], 32, Views(32))
    np.testing.assert_allclose(whole, np.broadcast_to(smooth, whole.shape), atol=2e-3)
    half = draws([smooth], 16, Views(16))
    assert np.sqrt(np.mean((half[0] - view(smooth, 16)) ** 2)) < 0.02


def test_slices_of_several_shapes_share_a_pyramid():
    constant = [np.full(shape, value, np.float32) for shape, value in (((20, 30), 0.25), ((40, 24), 0.75))]
    seen = draws(constant, 4, Views(10, (0.9, 1.0)))
    middles = np.median(seen, axis=(1, 2))
    for value in (0.25, 0.75):
        assert np.sum(abs(middles - value) < 0.01) > 10
    assert np.sum((abs(middles - 0.25) < 0.01) | (abs(middles - 0.75) < 0.01)) > 40  # the others cross a border


def test_a_pyramid_beyond_a_32_bit_index_is_refused(monkeypatch):
    monkeypatch.setattr("scoreinv.datasets.pyramid.MAX_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"set data\.packed_size lower, or data\.views above 0"):
        make_pyramid([SLICE], Views(8))


def test_fields_of_view_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"data\.zoom=\(1\.1, 0\.7\); give the smallest"):
        Views(8, (1.1, 0.7))
