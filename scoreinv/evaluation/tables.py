"""What the rows of a comparison come to: means and standard deviations over slices and over subjects."""

from collections.abc import Mapping, Sequence

import pandas as pd

MEASURES = ("psnr", "ssim", "rmse")
DIGITS = {"psnr": 2, "ssim": 3, "rmse": 4}
UNITS = {"psnr": "PSNR, dB", "ssim": "SSIM", "rmse": "RMSE"}
NOT_LABELS = ("subject", "volume", "slice", *MEASURES, "network_calls", "seconds")


def frame(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """The rows of a comparison with numbers as such; labels are text, "" where an axis does not concern a method."""
    numbers = dict.fromkeys((*MEASURES, "network_calls", "seconds"), float)
    return pd.DataFrame(rows).astype(numbers)


def labels_of(rows: pd.DataFrame) -> list[str]:
    """The columns that tell conditions apart."""
    return [column for column in rows.columns if column not in NOT_LABELS]


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each condition, in the order of the rows.

    Args:
        rows: what `frame` returns.

    Returns:
        Labels; `<measure>_mean` and `<measure>_std` over slices, `<measure>_subject_mean` and `<measure>_subject_std`
        over the means of subjects (sample standard deviations; a NaN among the slices stays visible); numbers of slices
        and subjects; network calls in total; seconds per slice.
    """
    labels = labels_of(rows)
    grouped = rows.groupby(labels, sort=False)
    subjects = rows.groupby([*labels, "subject"], sort=False)[list(MEASURES)].mean(skipna=False)
    by_subject = subjects.groupby(labels, sort=False)
    summary = pd.DataFrame({"slices": grouped.size(), "subjects": by_subject.size()})
    for name in MEASURES:
        for prefix, groups in ((name, grouped[name]), (f"{name}_subject", by_subject[name])):
            summary[f"{prefix}_mean"] = groups.mean(skipna=False)
            summary[f"{prefix}_std"] = groups.std(skipna=False)
    summary["network_calls"] = grouped["network_calls"].sum().astype(int)
    summary["seconds_per_slice"] = grouped["seconds"].mean()
    return summary.reset_index()


def cell(mean: float, std: float, measure: str, plus_minus: str = "±") -> str:
    """ "mean ± std", without a standard deviation where there is one slice."""
    digits = DIGITS[measure]
    return f"{mean:.{digits}f}" if pd.isna(std) else f"{mean:.{digits}f} {plus_minus} {std:.{digits}f}"


def table(summary: pd.DataFrame, labels: Sequence[str], subjects: bool = False) -> list[list[str]]:
    """A summary as cells of text, the first row its head.

    Args:
        summary: what `summarize` returns.
        labels: the columns that tell conditions apart.
        subjects: whether the means over subjects are shown, too.
    """
    over = {"": "", "_subject": " over subjects"} if subjects else {"": ""}
    measures = [(name, suffix) for suffix in over for name in MEASURES]
    head = [*labels, *(UNITS[name] + over[suffix] for name, suffix in measures), "slices", "calls/slice", "s/slice"]
    lines = [
        [
            *(row[label] for label in labels),
            *(cell(row[f"{name}{suffix}_mean"], row[f"{name}{suffix}_std"], name) for name, suffix in measures),
            str(row["slices"]),
            str(row["network_calls"] // row["slices"]),
            f"{row['seconds_per_slice']:.3g}",
        ]
        for _, row in summary.iterrows()
    ]
    return [head, *lines]


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """A table for the terminal."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    head, *body = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([head, "|" + "---|" * len(cells[0]), *body]) + "\n"
