"""What the rows of a comparison come to: means over slices and subjects, how sure they are, and who wins."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

MEASURES = ("psnr", "ssim", "rmse")
COMPARED = ("psnr", "ssim")  # with the reference's
DIGITS = {"psnr": 2, "ssim": 3, "rmse": 4}
UNITS = {"psnr": "PSNR, dB", "ssim": "SSIM", "rmse": "RMSE"}
SLICE = ["subject", "volume", "slice"]
NOT_LABELS = (*SLICE, *MEASURES, "network_calls", "seconds")
RESAMPLES = 10_000


def frame(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """The rows of a comparison with numbers as such; labels are text, "" where an axis does not concern a method."""
    numbers = dict.fromkeys((*MEASURES, "network_calls", "seconds"), float)
    return pd.DataFrame(rows).astype(numbers)


def labels_of(rows: pd.DataFrame) -> list[str]:
    """The columns that tell conditions apart."""
    return [column for column in rows.columns if column not in NOT_LABELS]


def interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """95 % interval of a mean by the bootstrap's percentiles (Efron and Tibshirani 1993, section 13.3).

    Args:
        values: independent ones, as the means of subjects.

    Returns:
        (low, high), the same at every call; NaN for fewer than two values or where one is NaN.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)


def summarize(rows: pd.DataFrame, reference: str = "") -> pd.DataFrame:
    """One row for each condition, in the order of the rows.

    Args:
        rows: what `frame` returns.
        reference: the method that the others are compared with, slice by slice, in the best of its settings; "": none.

    Returns:
        Labels; numbers of slices and subjects; `<measure>_mean` and `<measure>_std` over slices,
        `<measure>_subject_mean` and `<measure>_subject_std` over the means of subjects (sample standard deviations; a
        NaN among the slices stays visible), `<measure>_low` and `<measure>_high`, the 95 % `interval` of that mean;
        network calls in total; seconds per slice. Where there is a reference: its name, `<measure>_gain`,
        `<measure>_gain_low` and `<measure>_gain_high`, mean over subjects and interval of the differences from it, and
        `<measure>_won`, the slices that are better than its.
    """
    labels = labels_of(rows)
    groups = {values: group.set_index(SLICE) for values, group in rows.groupby(labels, sort=False)}
    found = []
    for values, group in groups.items():
        named = dict(zip(labels, values, strict=True))
        own = _reference(named, groups, labels, reference)
        found.append(named | _of_one(group) | ({} if own is None else {"reference": reference} | _against(group, own)))
    return pd.DataFrame(found)


def _of_one(group: pd.DataFrame) -> dict[str, float | int]:
    """The figures of one condition."""
    figures: dict[str, float | int] = {
        "slices": len(group),
        "subjects": group.index.get_level_values("subject").nunique(),
    }
    for name in MEASURES:
        of_subjects = _subject_means(group[name])
        for prefix, values in ((name, group[name]), (f"{name}_subject", of_subjects)):
            figures |= {f"{prefix}_mean": values.mean(skipna=False), f"{prefix}_std": values.std(skipna=False)}
        figures |= dict(zip((f"{name}_low", f"{name}_high"), interval(of_subjects.to_numpy()), strict=True))
    return figures | {
        "network_calls": int(group["network_calls"].sum()),
        "seconds_per_slice": group["seconds"].mean(),
    }


def _subject_means(values: pd.Series) -> pd.Series:
    return values.groupby(level="subject", sort=False).agg(lambda own: own.mean(skipna=False))


def _reference(named: Mapping[str, str], groups, labels: Sequence[str], reference: str) -> pd.DataFrame | None:
    """The reference under a condition's own measurement: equal in every axis that concerns both.

    Of several settings of its own (axes "<reference>.<setting>") the best.
    """
    if not reference or named.get("method", reference) == reference:
        return None
    shared = [name for name in labels if name != "method" and not name.startswith(f"{reference}.")]
    found = []
    for values, group in groups.items():
        other = dict(zip(labels, values, strict=True))
        alike = all(other[name] in ("", named[name]) for name in shared)
        if other["method"] == reference and alike:
            found.append(group)
    return max(found, key=lambda group: group["psnr"].mean(), default=None)


def _against(group: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float | int]:
    """Differences from the reference, over subjects, and slices won."""
    figures: dict[str, float | int] = {}
    for name in COMPARED:
        gain = group[name] - reference[name].reindex(group.index)
        subjects = _subject_means(gain)
        figures |= {f"{name}_gain": subjects.mean(skipna=False), f"{name}_won": int((gain > 0).sum())}
        figures |= dict(zip((f"{name}_gain_low", f"{name}_gain_high"), interval(subjects.to_numpy()), strict=True))
    return figures


def cell(mean: float, std: float, measure: str, plus_minus: str = "±") -> str:
    """ "mean ± std", without a standard deviation where there is one slice."""
    digits = DIGITS[measure]
    return f"{mean:.{digits}f}" if pd.isna(std) else f"{mean:.{digits}f} {plus_minus} {std:.{digits}f}"


def interval_cell(row: pd.Series, names: Sequence[str], measure: str, sign: str = "") -> str:
    """ "mean [low, high]" of three columns, without an interval where there is one subject; "" for no mean."""
    mean, low, high = row[list(names)]
    form = f"{sign}.{DIGITS[measure]}f"
    if pd.isna(mean):
        return ""
    return f"{mean:{form}}" if pd.isna(low) else f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def table(summary: pd.DataFrame, labels: Sequence[str], measures: Sequence[str] = COMPARED) -> list[list[str]]:
    """A summary as cells of text, the first row its head.

    Args:
        summary: what `summarize` returns.
        labels: the columns that tell conditions apart; a column `setting` is shown beside them.
        measures: what is shown.

    Returns:
        Labels; for each measure mean ± standard deviation over slices, and the mean over subjects with its 95 %
        interval; gain over the reference with its interval, and slices won; what it took.
    """
    against = [name for name in COMPARED if f"{name}_won" in summary]
    labels = [*labels, "setting"] if "setting" in summary else labels
    reference = summary["reference"].dropna().iloc[0] if against else ""
    head = [*labels]
    for name in measures:
        head += [UNITS[name], "over subjects, 95 %"]
    for name in against:
        head += [f"{UNITS[name]} over {reference}, 95 %", "won"]
    head += ["slices", "subjects", "calls/slice", "s/slice"]
    return [head, *(_line(row, labels, measures, against) for _, row in summary.iterrows())]


def _line(row: pd.Series, labels: Sequence[str], measures: Sequence[str], against: Sequence[str]) -> list[str]:
    cells = [str(row[label]) for label in labels]
    for name in measures:
        cells.append(cell(row[f"{name}_mean"], row[f"{name}_std"], name))
        cells.append(interval_cell(row, (f"{name}_subject_mean", f"{name}_low", f"{name}_high"), name))
    for name in against:
        cells.append(interval_cell(row, (f"{name}_gain", f"{name}_gain_low", f"{name}_gain_high"), name, "+"))
        cells.append("" if pd.isna(row[f"{name}_won"]) else f"{row[f'{name}_won']:.0f} of {row['slices']}")
    calls, seconds = row["network_calls"] // row["slices"], f"{row['seconds_per_slice']:.3g}"
    return [*cells, str(row["slices"]), str(row["subjects"]), str(calls), seconds]


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """A table for the terminal."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    head, *body = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([head, "|" + "---|" * len(cells[0]), *body]) + "\n"
