"""Conformal intervals: coverage of new subjects, within classes of spread, and what is written to a file."""

import numpy as np
import pytest

from scoreinv.evaluation.conformal import Correction, fit, levels_for, load, local_spread, save, subject_quantile


def subjects(rng, count, pixels=400, between=0.5, exponent=1.0):
    """Errors of Gaussian draws whose scale differs between subjects and grows with spread^exponent."""
    made = {}
    for i in range(count):
        spread = np.exp(rng.uniform(np.log(0.005), np.log(0.2), pixels))
        scale = np.exp(between * rng.standard_normal())
        made[f"sub-{i}"] = np.abs(scale * 0.1 * (spread / 0.1) ** exponent * rng.standard_normal(pixels)), spread
    return made


def test_quantile_counts_subjects_and_leaves_room_for_a_new_one():
    scores = [np.full(1, 1.0), np.full(50, 2.0), np.full(3, 3.0)]
    assert [subject_quantile(scores, level) for level in (0.25, 0.26, 0.5, 0.75)] == [1.0, 2.0, 2.0, 3.0]
    assert subject_quantile(scores, 0.99) == 3.0  # no number of three subjects holds that; the largest is given


@pytest.mark.parametrize("scores", [[], [np.ones(3), np.ones(0)]])
def test_subjects_without_pixels_are_refused(scores):
    with pytest.raises(ValueError, match="at least one pixel"):
        subject_quantile(scores, 0.9)


def test_a_new_subjects_pixel_is_covered_as_often_as_promised_though_subjects_differ():
    """The mean over many calibrations is at least 0.9; pooling pixels as if they were exchangeable falls short."""
    rng = np.random.default_rng(0)
    covered, pooled = [], []
    for _ in range(300):
        scores = [error / spread for error, spread in subjects(rng, 11, 50).values()]
        covered.append(np.mean(scores[-1] <= subject_quantile(scores[:-1], 0.9)))
        pooled.append(np.mean(scores[-1] <= np.quantile(np.concatenate(scores[:-1]), 0.9)))
    error = np.std(pooled) / np.sqrt(len(pooled))
    assert np.mean(covered) > 0.9
    assert np.mean(pooled) < 0.9 - error


def test_the_room_for_a_new_subject_costs_little_where_subjects_are_many_and_alike():
    rng = np.random.default_rng(0)
    scores = [error / spread for error, spread in subjects(rng, 80, 200, between=0.0).values()]
    assert 0.9 < np.mean(np.concatenate(scores[40:]) <= subject_quantile(scores[:40], 0.9)) < 0.94


@pytest.mark.parametrize("exponent", [0.3, 1.0, 1.5])
def test_coverage_holds_where_the_spread_is_small_and_where_it_is_large(exponent):
    """One factor for all pixels would fail: it is the spread's class that decides."""
    rng = np.random.default_rng(1)
    correction = fit(subjects(rng, 40, exponent=exponent, between=0.1), "a simulation")
    new = subjects(rng, 40, exponent=exponent, between=0.1).values()
    error, spread = (np.concatenate([subject[part] for subject in new]) for part in (0, 1))
    for level in correction.levels:
        inside = error <= correction.half_width(spread, level)
        for low, high in ((0, 0.01), (0.01, 0.02), (0.02, 0.04), (0.04, 0.08), (0.08, 1)):
            assert abs(inside[(spread >= low) & (spread < high)].mean() - level) < 0.05


def test_a_class_that_few_subjects_reach_is_fitted_with_its_neighbour():
    rng = np.random.default_rng(2)
    made = {name: (e[s < 0.08], s[s < 0.08]) for name, (e, s) in subjects(rng, 8).items()}
    alone = fit(made, "no pixel above 0.08")
    assert all(row[-1] == row[-2] for row in alone.factors)
    error, spread = made["sub-0"]
    one = fit(made | {"sub-0": (np.append(error, 50.0), np.append(spread, 0.1))}, "one pixel above 0.08")
    np.testing.assert_allclose(one.factors[0][-1], alone.factors[0][-1], rtol=0.02)


def test_a_class_of_a_few_pixels_or_too_few_subjects_for_the_level_is_fitted_with_its_neighbour():
    """Its own quantile would be the largest of a few errors: intervals would be widest where draws agree."""
    rng = np.random.default_rng(4)
    made = {name: (e[s > 0.01], s[s > 0.01]) for name, (e, s) in subjects(rng, 12).items()}
    few_pixels = {name: (np.append(e, 0.3), np.append(s, 0.005)) for name, (e, s) in made.items()}
    for low, next_to_it, *_ in fit(few_pixels, "one pixel each", (0.5, 0.8, 0.9)).factors:
        assert low < 1.3 * next_to_it  # alone it would be 60
    few_subjects = dict(made)
    for name in list(made)[:6]:
        e, s = made[name]
        few_subjects[name] = np.append(e, np.full(200, 0.01)), np.append(s, np.full(200, 0.005))
    half, ninety = fit(few_subjects, "six subjects of twelve", (0.5, 0.9)).factors
    assert half[0] == pytest.approx(2.0, rel=0.01) and ninety[0] < 0.9 * ninety[1] < 5


def test_one_subject_is_refused():
    with pytest.raises(ValueError, match="1 validation subject; intervals that hold for others need"):
        fit(subjects(np.random.default_rng(0), 1), "too little")


def test_half_width_by_hand_and_a_level_that_was_not_fitted():
    correction = Correction("by hand", 9, (0.5, 0.9), (0.1,), ((1.0, 2.0), (3.0, 4.0)))
    np.testing.assert_allclose(correction.half_width(np.array([0.05, 0.1, 0.2]), 0.9), [0.15, 0.4, 0.8])
    with pytest.raises(ValueError, match=r"interval level 0.8; the correction was fitted for 0.5, 0.9"):
        correction.half_width(np.ones(1), 0.8)


def test_local_spread_keeps_the_mean_variance_and_a_floor():
    std = np.zeros((16, 16, 1))
    std[8, 8] = 1.0
    spread = local_spread(std, window=1.5, floor=0.01)
    np.testing.assert_allclose((spread**2 - 0.01**2).sum(), 1.0, rtol=1e-3)
    np.testing.assert_allclose(spread.min(), 0.01, rtol=1e-6)


def test_corrections_survive_a_file(tmp_path):
    correction = fit(subjects(np.random.default_rng(3), 6), "a simulation")
    save(tmp_path / "corrections.json", {"4x": correction})
    assert load(tmp_path / "corrections.json") == {"4x": correction}


@pytest.mark.parametrize("text", ["{", "[]", '{"4x": {"levels": [0.9]}}', '{"4x": 3}'])
def test_another_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "corrections.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"corrections\.json.*expected corrections of intervals that"):
        load(path)


def test_a_level_needs_as_many_subjects_as_its_odds():
    """subject_quantile of fewer is the largest score, which promises nothing."""
    assert [levels_for(n) for n in (1, 8, 9, 18, 19)] == [
        (0.5,), (0.5, 0.8), (0.5, 0.8, 0.9), (0.5, 0.8, 0.9), (0.5, 0.8, 0.9, 0.95)
    ]  # fmt: skip
