"""Scanners' geometries: closed forms, ASTRA on the same fan, back-projection of full, short and offset scans."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv.operators.fan import FanBeamTransform
from scoreinv.operators.geometry import BeamGeometry, projector
from scoreinv.operators.weighted import WeightedTransform
from tests.scans.ellipses import fan, image

SIDE, VIEWS = 48, 90
SHAPE = (SIDE, SIDE)
TURN = 2 * np.pi * np.arange(VIEWS) / VIEWS
# (right, up, standard deviation, height) of some bumps, pixels
BUMPS = ((5.0, 2.0, 3.0, 1.0), (-8.0, 7.0, 2.5, 0.5), (3.0, -9.0, 2.8, 0.7))
forward = jax.jit(lambda transform, x: transform.forward(x))
fbp = jax.jit(lambda transform, z, mask: transform.inverse(z, mask))


def bumps(centre=(0.0, 0.0)):
    u = np.arange(SIDE) - (SIDE - 1) / 2 + centre[0]
    v = (SIDE - 1) / 2 - np.arange(SIDE)[:, None] + centre[1]
    total = sum(a * np.exp(-((u - cu) ** 2 + (v - cv) ** 2) / (2 * w**2)) for cu, cv, w, a in BUMPS)
    return jnp.asarray(total[..., None], jnp.float32)


def integrals(theta, s, width):
    """Of the bumps, over strips of `width`, through square pixels: variances add."""
    total = 0
    for cu, cv, w, a in BUMPS:
        v = w**2 + (1 + width**2) / 12
        centre = cu * np.cos(theta) + cv * np.sin(theta)
        total = total + a * w**2 * np.sqrt(2 * np.pi / v) * np.exp(-((s - centre) ** 2) / (2 * v))
    return total


def psnr(a, b):
    return 10 * np.log10(float(np.max(b)) ** 2 / np.mean((np.asarray(a, np.float64) - np.asarray(b)) ** 2))


@pytest.mark.parametrize(
    ("pitch", "axis", "centre"), [(0.4, None, (0, 0)), (1.7, 20.3, (0, 0)), (1.0, 33.25, (2.5, -1))]
)
def test_parallel_rays_of_any_pitch_axis_and_image_centre(pitch, axis, centre):
    pixel = 0.7  # mm
    detectors = int(80 / pitch)
    angles = np.array([0.0, 0.7, np.pi / 2, 2.5, 4.0, -1.0])
    centre_mm = (centre[0] * pixel, centre[1] * pixel)
    geometry = BeamGeometry(angles, SHAPE, detectors, pixel, pitch * pixel, axis, centre=centre_mm)
    s = pitch * (np.arange(detectors) - ((detectors - 1) / 2 if axis is None else axis))
    expected = integrals(angles[:, None], s, pitch)
    y = forward(projector(geometry), bumps(centre))
    np.testing.assert_allclose(y, expected, atol=2e-3 * expected.max())


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize(("axis", "centre"), [(None, (0.0, 0.0)), (40.25, (2.0, -1.0))])
def test_fan_rays_are_the_lines_they_should_be(curved, axis, centre):
    pixel, near, far, pitch = 0.5, 60.0, 100.0, 0.8  # mm
    geometry = BeamGeometry(TURN[::9], SHAPE, 100, pixel, pitch, axis, near, far, curved, centre=centre)
    along = pitch * (np.arange(100) - (49.5 if axis is None else axis)) / far
    gamma = along if curved else np.arctan(along)
    s = near / pixel * np.sin(gamma)
    expected = integrals(TURN[::9, None] + gamma, s, np.abs(np.gradient(s)))
    y = forward(projector(geometry), bumps((centre[0] / pixel, centre[1] / pixel)))
    np.testing.assert_allclose(y, expected, atol=3e-3 * expected.max())


def test_columns_counted_to_the_left_are_the_same_rays_backwards():
    for distances in ({}, {"source_to_axis": 100.0, "source_to_detector": 150.0}):
        one, other = (BeamGeometry(TURN[:20], SHAPE, 90, axis=axis, reversed=left, **distances)
                      for axis, left in ((41.0, False), (48.0, True)))  # fmt: skip
        y = forward(projector(one), bumps())
        np.testing.assert_allclose(forward(projector(other), bumps())[:, ::-1], y, atol=1e-3 * float(y.max()))


# Rays without a width meet square pixels unevenly; strips as wide as the columns are what a detector sees.
@pytest.mark.parametrize(("kind", "error"), [("strip_fanflat", 0.005), ("line_fanflat", 0.02)])
def test_a_fan_against_astra(kind, error):
    astra = pytest.importorskip("astra")
    near, far, pitch, columns = 100.0, 160.0, 1.3, 110
    volume = astra.create_vol_geom(*SHAPE)
    scanner = astra.create_proj_geom("fanflat", pitch, columns, TURN, near, far - near)
    projections, data = astra.create_sino(np.asarray(bumps()[..., 0]), astra.create_projector(kind, scanner, volume))
    astra.data2d.delete(projections)
    # ASTRA's source is below the image at angle 0, and its columns count to the left of our view.
    geometry = BeamGeometry(TURN + np.pi, SHAPE, columns, 1.0, pitch, None, near, far, reversed=True)
    y = np.asarray(forward(projector(geometry), bumps()))
    assert np.linalg.norm(y - data) <= error * np.linalg.norm(data)


# name: (degrees of the views, axis of rotation, PSNR of the filtered back-projection at least)
SCANS = {
    "full turn": (np.arange(0, 360, 2.0), None, 32),
    "short scan": (np.arange(0, 180 + 60, 2.0), None, 31),
    "short scan backwards, from 300 degrees": (300 - np.arange(0, 240, 2.0), None, 31),
    "detector beside the axis, full turn": (np.arange(0, 360, 2.0), 12.0, 27),
    "half the views missing": (np.arange(0, 120, 2.0), None, 10),
}


@pytest.mark.parametrize("name", SCANS)
def test_filtered_back_projection_of_a_fan(name):
    degrees, axis, least = SCANS[name]
    near, far, pitch, columns = 100.0, 160.0, 1.0, 120
    geometry = BeamGeometry(np.deg2rad(degrees), SHAPE, columns, 1.0, pitch, axis, near, far)
    transform = projector(geometry)
    y = jnp.asarray(fan(SIDE, geometry.angles, geometry.fan_angles, near), jnp.float32)
    reconstruction = fbp(transform, y, jnp.ones((len(degrees), 1)))
    assert psnr(reconstruction, image(SIDE)) > least


def test_rays_that_were_not_measured_are_left_out_of_the_back_projection():
    geometry = BeamGeometry(TURN, SHAPE, 120, 1.0, 1.0, None, 100.0, 160.0)
    transform = projector(geometry)
    assert isinstance(transform, FanBeamTransform)
    y = jnp.asarray(fan(SIDE, TURN, geometry.fan_angles, 100.0), jnp.float32)
    mask = jnp.ones(y.shape).at[:, 70].set(0.0)
    kept, other = (fbp(transform, jnp.where(mask > 0, y, fill), mask) for fill in (0.0, 1e3))
    np.testing.assert_array_equal(kept, other)
    # Each line was measured from both ends: what one column misses, another has.
    assert psnr(kept, image(SIDE)) > psnr(fbp(transform, y, jnp.ones(y.shape)), image(SIDE)) - 1


def test_weights_whiten_and_change_no_consistent_reconstruction():
    transform = projector(BeamGeometry(TURN[:30], SHAPE, 70))
    root = jnp.asarray(np.random.default_rng(0).uniform(0.3, 2, (30, 70)), jnp.float32)
    weighted, mask = WeightedTransform(transform, root), jnp.ones((30, 1))
    y = forward(transform, bumps())
    np.testing.assert_allclose(forward(weighted, bumps()), root * y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fbp(weighted, root * y, mask), fbp(transform, y, mask), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pitch": 0.0}, "positive numbers"),
        ({"source_to_axis": 50.0}, "the detector beyond the axis"),
        ({"source_to_axis": 200.0, "source_to_detector": 100.0}, "the detector beyond the axis"),
        ({"source_to_axis": 20.0, "source_to_detector": 100.0}, "inside of the image"),
        ({"source_to_axis": 30.0, "source_to_detector": 31.0, "curved": True}, "opens 180 degrees"),
    ],
)
def test_geometries_that_cannot_be_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        projector(BeamGeometry(TURN, SHAPE, 120, **settings))
    assert "\n" not in str(error.value)
