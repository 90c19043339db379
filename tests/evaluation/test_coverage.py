"""Coverage counted on draws that hold by construction, and on draws that are too sure."""

import numpy as np
import pytest

from scoreinv.evaluation import coverage
from scoreinv.evaluation.intervals import interval

SHAPE, DRAWS = (24, 24, 1), 5


def cases(sure=1.0, subjects=16):
    """Slices whose truth is one more draw of the posterior; the draws' spread is divided by `sure`."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(subjects):
        mean = 0.5 + 0.3 * (np.arange(24)[:, None, None] > 11) + np.zeros(SHAPE)
        std = np.where(np.arange(24)[None, :, None] < 12, 0.02, 0.06) + np.zeros(SHAPE)
        truth = mean + std * rng.standard_normal(SHAPE)
        draws = mean + std / sure * rng.standard_normal((DRAWS, *SHAPE))
        made.append(coverage.case(f"sub-{i}", truth, draws.mean(0), draws))
    return made


def test_draws_of_the_posterior_hold_as_drawn_and_corrected():
    found = coverage.report(cases())
    assert found["slices"] == found["subjects"] == 16
    for level in (0.5, 0.8, 0.9):
        assert abs(found["as drawn"][level]["all"] - level) < 0.02
        assert -0.02 < found["corrected"][level]["all"] - level < 0.06
        assert found["worst subject"][level] <= found["corrected"][level]["all"]


def test_draws_that_are_too_sure_are_found_out_and_mended_at_every_spread():
    found = coverage.report(cases(sure=3.0), levels=(0.8,))
    assert found["as drawn"][0.8]["all"] < 0.55
    assert all(value > 0.77 for value in found["corrected"][0.8].values())
    assert found["half width"][0.8] > 2 * found["half width as drawn"][0.8]
    assert "edges" in found["corrected"][0.8] and "0.01 to 0.02" in found["corrected"][0.8]


def test_edges_are_the_quarter_of_the_object_with_the_largest_gradient():
    one = cases(subjects=1)[0]
    assert abs(one.edge.mean() - 0.25) < 0.01
    assert one.edge.reshape(24, 24)[11:13].mean() > 0.9


def test_a_subject_is_corrected_by_the_others_alone():
    """Errors of one subject that are out of all proportion change no width of its own intervals."""
    made = cases()
    wild = [made[0]._replace(error=100 * made[0].error), *made[1:]]
    inside, widths = coverage.left_out(wild, 0.8)
    np.testing.assert_allclose(widths[0], coverage.left_out(made, 0.8)[1][0])
    assert inside[0].mean() < 0.1


def test_an_interval_without_a_correction_is_students():
    draws = np.array([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1) * np.ones((3, *SHAPE))
    found = interval(draws, 0.9)
    np.testing.assert_allclose(found.half_width, 2.919986 * np.sqrt(4 / 3), rtol=1e-4)
    assert "as drawn" in found.about
    with pytest.raises(ValueError, match="1 draw has no spread"):
        interval(draws[:1], 0.9)
