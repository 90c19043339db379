"""Phantoms against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.simulation.phantoms import ellipses, random_ellipses, shepp_logan, smooth_blobs


def test_one_ellipse_has_its_area_place_and_tilt():
    table = jnp.array([[0.7, 0.5, 0.2, 0.1, -0.3, 30.0]])
    image = np.asarray(ellipses((200, 200), table))[..., 0]
    weight = image / image.sum()
    pixel = (2 / 200) ** 2
    np.testing.assert_allclose(image.sum() * pixel, 0.7 * np.pi * 0.5 * 0.2, rtol=2e-3)
    y = (1 - (2 * np.arange(200) + 1) / 200)[:, None]
    x = ((2 * np.arange(200) + 1) / 200 - 1)[None, :]
    np.testing.assert_allclose([np.sum(weight * x), np.sum(weight * y)], [0.1, -0.3], atol=1e-3)
    # Second moments of an ellipse are a^2/4 and b^2/4 along its axes.
    xx, yy, xy = (np.sum(weight * m) for m in ((x - 0.1) ** 2, (y + 0.3) ** 2, (x - 0.1) * (y + 0.3)))
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    np.testing.assert_allclose(xx, (0.25 * cos**2 + 0.04 * sin**2) / 4, rtol=5e-3)
    np.testing.assert_allclose(yy, (0.25 * sin**2 + 0.04 * cos**2) / 4, rtol=5e-3)
    np.testing.assert_allclose(xy, (0.25 - 0.04) * cos * sin / 4, rtol=5e-3)


def test_shepp_logan_has_tofts_intensities():
    image = np.asarray(shepp_logan((256, 256)))[..., 0]

    def at(x, y):
        return image[round((1 - y) * 128 - 0.5), round((x + 1) * 128 - 0.5)]

    points = {(0, 0.9): 1.0, (0, -0.3): 0.2, (-0.22, 0): 0.0, (0.22, 0.05): 0.0, (0, 0.35): 0.3, (0.99, 0.99): 0.0}
    for point, expected in points.items():
        np.testing.assert_allclose(at(*point), expected, atol=1e-6)


def test_random_phantoms_are_in_range_and_follow_their_key():
    for make in (random_ellipses, smooth_blobs):
        first, again, other = (np.asarray(make(jax.random.key(k), (48, 40))) for k in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).mean() > 0.01
        assert first.min() >= 0 and first.max() <= 1 and first.std() > 0.05


def test_smooth_blobs_are_band_limited_and_vanish_at_the_border():
    image = np.asarray(smooth_blobs(jax.random.key(3), (128, 128)))[..., 0]
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert border.max() < 1e-4
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(image)))
    outside = np.ones_like(image, bool)
    outside[32:-32, 32:-32] = False
    assert spectrum[outside].max() < 1e-4 * spectrum.max()
