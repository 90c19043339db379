"""What rows come to: means, intervals over subjects against scipy, the reference, slices won."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from scoreinv.evaluation.tables import frame, interval, labels_of, summarize, table


def row(method, subject, index, psnr, **labels):
    scores = {"psnr": str(psnr), "ssim": str(psnr / 100), "rmse": "0.1", "network_calls": "40", "seconds": "2"}
    return {"method": method, **labels, "subject": subject, "volume": "0", "slice": str(index), **scores}


# Two slices of one subject, one of each of two others.
PLACES = [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
TV = [row("tv", *place, psnr, operator="4x") for place, psnr in zip(PLACES, (20, 22, 30, 25), strict=True)]
OURS = [row("scoreinv", *place, psnr, operator="4x") for place, psnr in zip(PLACES, (23, 23, 29, 27), strict=True)]


def test_an_interval_is_the_percentile_bootstrap():
    values = np.random.default_rng(1).normal(size=12)
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=0).confidence_interval
    np.testing.assert_allclose(interval(values), expected, atol=0.02)
    assert interval(values) == interval(values)
    assert np.isnan(interval(values[:1])).all() and np.isnan(interval(np.array([1.0, np.nan, 2.0]))).all()


def test_gains_and_wins_are_of_the_same_slices_and_over_subjects():
    summary = summarize(frame(OURS[::-1] + TV), "tv")
    ours, tv = (summary.iloc[i] for i in range(2))
    assert (ours["slices"], ours["subjects"]) == (4, 3)
    assert ours["psnr_mean"] == pytest.approx(25.5) and ours["psnr_std"] == pytest.approx(3.0)
    assert ours["psnr_subject_mean"] == pytest.approx((23 + 29 + 27) / 3)
    assert ours["psnr_gain"] == pytest.approx((2 - 1 + 2) / 3) and ours["psnr_won"] == 3
    assert (ours["psnr_gain_low"], ours["psnr_gain_high"]) == pytest.approx(interval(np.array([2.0, -1.0, 2.0])))
    assert np.isnan(tv["psnr_gain"]) and tv["reference"] != "tv"
    head, line, other = table(summary, labels_of(frame(OURS)))
    assert line[head.index("PSNR, dB over tv, 95 %") :][:2] == ["+1.00 [-1.00, +2.00]", "3 of 4"]
    assert other[head.index("PSNR, dB over tv, 95 %") :][:2] == ["", ""]


def test_a_slice_that_failed_stays_visible():
    summary = summarize(frame([row("tv", "a", 1, float("nan")), row("tv", "b", 1, 30), row("tv", "c", 1, 31)]))
    assert summary[["psnr_mean", "psnr_subject_mean", "psnr_low"]].isna().all(axis=None)
    assert "reference" not in summary


def test_the_reference_is_the_one_under_the_same_measurement():
    """An axis that does not concern the reference leaves it what it is; of its own settings the best counts."""
    swept = [
        row("scoreinv", "a", 1, psnr, lam=lam, acceleration=r) for psnr, lam, r in [(25, "1", "4"), (24, "1", "8")]
    ]
    tv = [row("tv", "a", 1, psnr, lam="", acceleration=r) for psnr, r in [(22, "4"), (23, "8")]]
    assert summarize(frame(swept + tv), "tv")["psnr_gain"].tolist()[:2] == [3.0, 1.0]
    weighed = [
        {"tv.lam": "", **swept[0]},
        *({"tv.lam": lam, **tv[0], "psnr": p} for lam, p in [("1", "22"), ("2", "24")]),
    ]
    assert summarize(frame(weighed), "tv")["psnr_gain"].tolist()[:1] == [1.0]
    assert "psnr_gain" not in summarize(frame(swept[:1] + tv[1:]), "tv")
