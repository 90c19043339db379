"""Fans whose columns count the other way, whose axis lies beside the middle, or whose distances are wrong."""

from dataclasses import replace

import numpy as np
import pytest

from scoreinv.operators.geometry import BeamGeometry
from scoreinv.scans.fan_checks import checked_fan, end_difference, missing_views
from tests.scans.ellipses import fan

SIDE, VIEWS, COLUMNS = 64, 90, 160
TURN = 2 * np.pi * np.arange(VIEWS) / VIEWS
BEAM = BeamGeometry(TURN, (1, 1), COLUMNS, 1.0, 1.4, None, 100.0, 175.0)


def measured(beam, noise=0.01):
    y = fan(SIDE, beam.angles, beam.fan_angles, beam.source_to_axis)
    return y + noise * y.max() * np.random.default_rng(0).standard_normal(y.shape)


@pytest.mark.parametrize(("axis", "left"), [(None, True), (82.0, False), (77.3, True)])
def test_the_order_of_the_columns_and_the_axis_are_recognised_and_said(axis, left):
    y = measured(replace(BEAM, axis=axis, reversed=left))
    found, notes = checked_fan(BEAM, y, 0.0, False, True)
    assert found.reversed == left
    assert (found.axis is None) == (axis is None)
    if axis is not None:
        assert found.axis == pytest.approx(axis, abs=0.05)
    assert ("scan.reversed" in " ".join(notes)) == left
    assert ("scan.axis" in " ".join(notes)) == (axis is not None)


def test_columns_of_a_narrow_fan_that_count_to_the_left_are_recognised_too():
    narrow = replace(BEAM, angles=2 * np.pi * np.arange(180) / 180, source_to_axis=300.0, source_to_detector=500.0)
    found, notes = checked_fan(narrow, measured(replace(narrow, reversed=True)), 0.0, True, True)
    assert found.reversed and "scan.reversed" in " ".join(notes)


@pytest.mark.parametrize(("distance", "pitch"), [(45.0, 1.0), (71.7, 0.667)])
def test_an_arc_is_proposed_where_the_data_are_of_one(distance, pitch):
    wide = replace(
        BEAM,
        angles=2 * np.pi * np.arange(180) / 180,
        source_to_axis=distance,
        source_to_detector=1.75 * distance,
        pitch=pitch,
    )
    _, notes = checked_fan(wide, measured(replace(wide, curved=True), 0.0), 0.0, True, True)
    assert "scan.curved=True" in " ".join(notes)
    assert checked_fan(wide, measured(wide, 0.0), 0.0, True, True)[1] == []


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
def test_what_is_right_stays_as_it_is(noise):
    y = measured(BEAM, noise)
    assert checked_fan(BEAM, y, noise * y.max(), False, True) == (BEAM, [])


def test_views_in_a_wrong_order_are_refused_or_warned_of():
    y = measured(BEAM)[np.random.default_rng(1).permutation(VIEWS)]
    with pytest.raises(ValueError, match="two ends of a ray differ") as error:
        checked_fan(BEAM, y, 0.0, True, True)
    assert "\n" not in str(error.value)
    beam, notes = checked_fan(BEAM, y, 0.0, True, False)
    assert beam == BEAM and "check angles" in notes[0]


@pytest.mark.parametrize(("degrees", "said"), [(360, ""), (230, ""), (215, ""), (180, "needs 217"), (120, "cover 120")])
def test_a_range_too_short_for_a_fan_is_said(degrees, said):
    beam = replace(BEAM, angles=np.deg2rad(np.arange(0, degrees, 2.0)), shape=(SIDE, SIDE))
    notes = " ".join(missing_views(beam))
    assert said in notes and bool(notes) == bool(said)


def test_few_or_sparse_views_say_nothing():
    for kept in (slice(0, 20), slice(0, None, 3)):
        beam = replace(BEAM, angles=TURN[kept])
        assert end_difference(beam, measured(beam)) is None
