"""Sinograms that are right, noisy, truncated or wrong, and what the checks say of each."""

import numpy as np
import pytest

from scoreinv.scans import ct_checks
from tests.scans.ellipses import fan, parallel

SIDE, DETECTORS, VIEWS = 64, 92, 40
ANGLES = np.pi * np.arange(VIEWS) / VIEWS
EXACT = parallel(SIDE, ANGLES, DETECTORS)
NOISE = np.random.default_rng(0).standard_normal(EXACT.shape)
GAMMA = np.arctan(1.4 * (np.arange(DETECTORS) - (DETECTORS - 1) / 2) / 175)
TURN = 2 * np.pi * np.arange(VIEWS) / VIEWS

# name: (sinogram, angles, noise, sums agree, centres of mass agree, truncated)
CASES = {
    "exact": (EXACT, ANGLES, 0.0, True, True, False),
    "noise of 1 %": (EXACT + 0.5 * NOISE, ANGLES, 0.5, True, True, False),
    "noise of 10 %": (EXACT + 5 * NOISE, ANGLES, 5.0, True, True, False),
    "12 views": (EXACT[:12], ANGLES[:12], 0.0, True, True, False),
    "another unit": (2e-5 * EXACT, ANGLES, 0.0, True, True, False),
    "axis off centre": (parallel(SIDE, ANGLES, DETECTORS, axis=48.2), ANGLES, 0.0, True, True, False),
    "degrees for radians": (EXACT, np.rad2deg(ANGLES), 0.0, True, False, False),
    "some degrees among radians": (EXACT, np.where(np.arange(VIEWS) > 30, 2, 1) * ANGLES, 0.0, True, False, False),
    "a fan": (fan(SIDE, TURN, GAMMA, 100.0), TURN, 0.0, True, False, False),
    "views in random order": (EXACT, np.random.default_rng(1).permutation(ANGLES), 0.0, True, False, False),
    "truncated": (EXACT[:, 30:-30], ANGLES, 0.0, True, True, True),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_projections_say(name):
    y, angles, noise, sums, centres, truncated = CASES[name]
    found = ct_checks.consistency(y, angles, noise)
    assert (found.sums <= ct_checks.SUMS) == sums
    assert found.close == centres
    assert found.parallel >= found.close
    assert found.truncated == truncated


@pytest.mark.parametrize("axis", [40.0, 45.5, 48.2])
def test_the_axis_of_rotation_from_centres_of_mass_and_from_opposite_views(axis):
    y = parallel(SIDE, TURN, DETECTORS, axis)
    found = ct_checks.consistency(y, TURN)
    assert found.axis_known
    np.testing.assert_allclose(found.axis, axis - 45.5, atol=0.02)
    opposite = ct_checks.axis_from_opposite_views(y[:, 28:-28], TURN)
    np.testing.assert_allclose(opposite, axis - 45.5, atol=0.15)
    assert ct_checks.axis_from_opposite_views(EXACT, ANGLES) is None


def test_scatter_leaves_the_axis_roughly_known():
    y = np.repeat(parallel(SIDE, ANGLES, DETECTORS, axis=50.0), 6, axis=1)  # finer columns: the axis 27 off
    rough = y + 0.002 * y.max() * np.cos(3 * ANGLES)[:, None] * np.linspace(-1, 1, y.shape[1])
    found = ct_checks.consistency(rough, ANGLES)
    assert not found.close and found.axis_roughly_known and not found.axis_known
    np.testing.assert_allclose(found.axis, 27, atol=0.3)


def test_over_a_short_range_the_axis_is_not_taken_for_known():
    found = ct_checks.consistency(EXACT[:4] + 0.2 * NOISE[:4], ANGLES[:4], 0.2)
    assert not found.axis_known


@pytest.mark.parametrize("std", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("views", [1, 8, VIEWS])
def test_noise_level_from_neighbouring_rays(std, views):
    # What the object itself does between neighbours comes on top: a few per cent of a detector's value at most.
    estimate = ct_checks.noise_level(EXACT[:views] + std * NOISE[:views])
    assert 0.7 * std <= estimate <= 1.3 * std + 0.25
    assert ct_checks.noise_level(1e-6 * (EXACT[:views] + std * NOISE[:views])) == pytest.approx(1e-6 * estimate)


def test_counts_and_transmission_are_recognised():
    for share in (
        np.exp(-EXACT / 20),
        6e4 * np.exp(-EXACT / 20),
        np.random.default_rng(0).poisson(50 * np.exp(-EXACT / 20)).astype(float),
    ):
        assert ct_checks.is_before_logarithm(share)
    for y in (EXACT, EXACT + 5 * NOISE, EXACT[:, 26:-26]):
        assert not ct_checks.is_before_logarithm(y)


def test_units_of_angles():
    radians, said = ct_checks.angles_in_radians(np.rad2deg(ANGLES))
    np.testing.assert_allclose(radians, ANGLES)
    assert "taken for degrees" in said
    for angles in (ANGLES, -ANGLES, 2 * np.pi * np.arange(9) / 8, ANGLES[::-1]):
        np.testing.assert_array_equal(ct_checks.angles_in_radians(angles)[0], angles)
    np.testing.assert_allclose(ct_checks.angles_in_radians(np.array([0.0, 1.5]), "degrees")[0], [0, np.deg2rad(1.5)])
    np.testing.assert_allclose(ct_checks.angles_in_radians(np.array([0.0, 12.5]), "radians")[0], [0, 12.5])
    with pytest.raises(ValueError, match=r"from 62 to 65 may be either; set scan\.angle_unit"):
        ct_checks.angles_in_radians(np.array([62.0, 65.0]))
    with pytest.raises(ValueError, match="span 1800"):
        ct_checks.angles_in_radians(np.array([0.0, 1800.0]))


def test_order_of_the_axes():
    square = parallel(SIDE, np.pi * np.arange(DETECTORS) / DETECTORS, DETECTORS)
    for y, views in ((EXACT, VIEWS), (EXACT.T, VIEWS), (square, DETECTORS), (square.T, DETECTORS)):
        turned, said = ct_checks.oriented(y, views)
        expected = EXACT if views == VIEWS else square
        np.testing.assert_array_equal(turned, expected)
        assert bool(said) == (y is not EXACT and y is not square)
