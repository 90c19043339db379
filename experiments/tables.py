"""The rows of an experiment as Markdown and LaTeX tables and bars; the curves of a sweep are drawn by the sweep itself.

python -m experiments.tables runs/table2_undersampled_mri-small
"""

import argparse
import json
import re
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from scoreinv.drivers.sweep import label_columns
from scoreinv.evaluation.tables import UNITS, cell, interval_cell, markdown
from scoreinv.formats.files import write_atomically

SHOWN = ("psnr", "ssim")
MANY = 3  # values of an axis, above which a table of their own shows them better


def write_tables(workdir: Path) -> None:
    """Writes `table*.md`, `table*.tex` and `table*.png` of evaluations or sweeps, parts with the same labels together.

    A sweep of methods over many values of one axis has a table for each part, and the sweep's own curves.

    Raises:
        ValueError: a folder without results.
    """
    files = sorted(workdir.rglob("summary.json"), key=lambda file: _natural(file.parent.name))
    if not files:
        raise ValueError(f"{str(workdir)!r} holds no summary.json; give the directory of an evaluation or sweep")
    tables: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for file in files:
        summary = pd.DataFrame(json.loads(file.read_text()))
        part = "" if file.parent == workdir else file.parent.name
        summary, labels = merge_settings(summary, label_columns(summary))
        if len(labels) == 2 and summary[labels[1]].nunique() > MANY:
            _write_text(workdir, f"table-{part}" if part else "table", over_axis(summary, *labels))
            continue
        tables.setdefault(tuple(labels), []).append(summary.assign(part=part))
    for labels, summaries in tables.items():
        name = "table" if len(tables) == 1 else f"table-{labels[-1]}"
        _write(workdir, name, pivot(pd.concat(summaries, ignore_index=True), list(labels)))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 8x before 24x."""
    return [(int(digits or 0), text) for digits, text in re.findall(r"(\d*)(\D*)", name)]


def merge_settings(summary: pd.DataFrame, labels: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Axes that are settings of one method each ("tv.lam") as one column of text ("lam=0.01"), which goes down."""
    own = [label for label in labels if "." in label]
    if not own:
        return summary, labels
    text = [", ".join(f"{n.partition('.')[2]}={row[n]}" for n in own if row[n] != "") for _, row in summary.iterrows()]
    return summary.assign(setting=text, all=""), ["method", "setting", *(set(labels) - {*own, "method"} or ["all"])]


def pivot(summary: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Methods (and axes but the last) down, operators or values of the last axis across, in the order they came.

    Args:
        summary: summaries of parts, with a column `part`.
        labels: the columns that tell conditions apart.

    Returns:
        Cells of text, the best mean of each column between `**`; the head of a column is "<part> <value>, <measure>". A
        column "over tv" holds the mean difference in PSNR over subjects, its 95 % interval and the slices won.
    """
    *down, across = labels
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for values, group in summary.groupby(["part", across], sort=False):
        part, value = (str(v) for v in values)
        head = value if across in ("operator", "all") else f"{across} {value}"
        head = head if part in ("", value) else f"{part} {head}".strip()
        for _, row in group.iterrows():
            cells = rows.setdefault(tuple(row[label] for label in down), {})
            for measure in SHOWN:
                text = cell(row[f"{measure}_mean"], row[f"{measure}_std"], measure)
                best = row[f"{measure}_mean"] == group[f"{measure}_mean"].max()
                cells[f"{head}: {UNITS[measure]}"] = f"**{text}**" if best else text
            if isinstance(row.get("reference"), str):
                gain = interval_cell(row, ("psnr_gain", "psnr_gain_low", "psnr_gain_high"), "psnr", "+")
                cells[f"{head}: over {row['reference']}, dB"] = f"{gain}, {row['psnr_won']:.0f} of {row['slices']}"
            cells["calls"] = str(row["network_calls"] // row["slices"])
            cells["slices (subjects)"] = f"{row['slices']} ({row['subjects']})"
    table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    table = table[[*(c for c in table if ": " in c), "calls", "slices (subjects)"]]
    return pd.concat([pd.DataFrame(list(rows), columns=down), table.reset_index(drop=True)], axis=1)


def over_axis(summary: pd.DataFrame, label: str, axis: str) -> list[list[str]]:
    """A table of text: methods down, values of an axis across, means of PSNR and SSIM in a cell.

    The best PSNR of a column is between `**`. What the axis does not concern stands in the first column.
    """
    cells: dict[str, dict[float, str]] = {}
    values = pd.to_numeric(summary[axis], errors="coerce").fillna(0)
    for value, group in summary.groupby(values):
        for _, row in group.iterrows():
            text = f"{row['psnr_mean']:.2f} / {row['ssim_mean']:.3f}"
            best = row["psnr_mean"] == group["psnr_mean"].max()
            cells.setdefault(row[label], {})[value] = f"**{text}**" if best else text
    columns = sorted(set(values))
    order = dict.fromkeys(summary[label])
    return [
        [f"PSNR, dB / SSIM over {axis}", *(f"{column:g}" for column in columns)],
        *([name, *(cells[name].get(column, "") for column in columns)] for name in order),
    ]


def _write(workdir: Path, name: str, table: pd.DataFrame) -> None:
    _write_text(workdir, name, [list(table.columns), *table.to_numpy().tolist()])
    write_atomically(workdir / f"{name}.png", bars(table).savefig)


def _write_text(workdir: Path, name: str, cells: list[list[str]]) -> None:
    write_atomically(workdir / f"{name}.md", lambda path: path.write_text(markdown(cells)))
    write_atomically(workdir / f"{name}.tex", lambda path: path.write_text(latex(cells)))


def latex(cells: list[list[str]]) -> str:
    """A tabular for booktabs, `**bold**` as \\textbf."""

    def escaped(text: str) -> str:
        bold = text.startswith("**")
        text = text.strip("*").replace("_", r"\_").replace("%", r"\%").replace("±", r"$\pm$")
        return rf"\textbf{{{text}}}" if bold else text

    head, *body = [" & ".join(map(escaped, row)) + r" \\" for row in cells]
    columns = "l" + "r" * (len(cells[0]) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _name(row: pd.Series) -> str:
    return ", ".join(v if k == "method" else f"{k} {v}" for k, v in row.items() if v)


def bars(table: pd.DataFrame) -> Figure:
    """The means and standard deviations of a table as bars: a panel for each measure, a group for each column."""
    scores = [column for column in table if ": " in column]
    down = list(table.columns[: list(table.columns).index(scores[0])])
    figure = Figure(figsize=(9, 3.2), dpi=200, layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(SHOWN)), SHOWN, strict=True):
        columns = [c for c in scores if c.endswith(UNITS[measure])]
        for i, row in table.iterrows():
            pairs = [[float(t) for t in (row[c].strip("*").split(" ± ") if row[c] else ["nan"])] for c in columns]
            x = [j + 0.8 * (i + 0.5) / len(table) - 0.4 for j in range(len(columns))]
            errors = [p[1] if len(p) > 1 else 0 for p in pairs]
            means = [p[0] for p in pairs]
            axes.bar(x, means, 0.8 / len(table), yerr=errors, label=_name(row[down]), error_kw={"linewidth": 0.6})
        axes.set_xticks(range(len(columns)), [c.rpartition(": ")[0] for c in columns], fontsize=7)
        axes.set_ylabel(UNITS[measure], fontsize=8)
        axes.tick_params(labelsize=7)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, loc="outside lower center", ncols=5, frameon=False)
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    write_tables(parser.parse_args().workdir)
