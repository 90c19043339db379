"""Figures of reconstructions, drawn with matplotlib's object interface: no backend is chosen, no global state touched.

Every function returns a `Figure`; the caller saves it.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from scoreinv.evaluation.metrics import magnitude, psnr, ssim
from scoreinv.operators.mar import insert_metal, remove_metal
from scoreinv.typing import Image

Region = Bool[np.ndarray, "H W"]
Spread = Float[Array, "H W _"]

# Inches: width of a picture, width of a colour bar, gap, height of a line of text, margin beside the bars.
_PICTURE, _BAR, _GAP, _LINE, _MARGIN = 2.2, 0.08, 0.06, 0.15, 0.56
_SMALL, _LARGE = 8, 11  # font sizes
_DPI = 220
_COLOURS, _LINES = 10, ("o-", "s--", "^:")  # further lines take the colours again, with another marker and dash


class _Map(NamedTuple):
    values: np.ndarray
    colours: str
    limits: tuple[float, float]
    caption: str
    unit: str
    outline: np.ndarray | None = None


def panel(
    images: Mapping[str, Image],
    truth: Image | None = None,
    std: Spread | None = None,
    *,
    interval: tuple[float, Spread] | None = None,
    flagged: Region | None = None,
    metal: Image | None = None,
    title: str = "",
    ends: tuple[float, float] = (0.0, 1.0),
    unit: str = "",
    error_gain: float = 5.0,
) -> Figure:
    """Reconstructions on one gray scale, their errors below, and how far the truth may lie from them.

    With a truth: it comes first, PSNR and SSIM go into the captions, and the second row shows the half width of the
    interval, else the standard deviation over draws, below the truth and the errors below the reconstructions. Without:
    one row, the half width or standard deviation last.

    Args:
        images: caption -> reconstruction [H, W, C], from left to right. Complex ones are shown by magnitude.
        truth: true image.
        std: standard deviation over posterior samples [H, W, C], of complex images that of the magnitude [H, W, 1],
            on the scale of the images.
        interval: (level, half width of the interval, as std), drawn on the scale of the errors.
        flagged: where the image rests on the prior, outlined in the map of half widths or standard deviations.
        metal: 1 on pixels of metal [H, W, 1]: white in the pictures, zero in errors, scores and standard deviation.
        title: heading.
        ends: what 0 and 1 stand for in `unit`, e.g. (-1024, 1024) for a CT window.
        unit: written above the colour bars, e.g. "HU".
        error_gain: the error's scale ends at the gray scale's length divided by this.

    Returns:
        The figure; save it with `figure.savefig(path)`.

    Raises:
        ValueError: nothing to draw.
    """
    if not images:
        raise ValueError("no reconstruction to draw; give at least one")
    span = ends[1] - ends[0]
    spread = _doubt(std, interval, metal, span, unit, error_gain)
    if spread is not None and flagged is not None and np.any(flagged):
        spread = spread._replace(outline=flagged, caption=f"{spread.caption}\nblue: rests on the prior")
    shown = {name: insert_metal(x, metal) for name, x in images.items()}
    grays = [_Map(ends[0] + span * np.asarray(magnitude(x)), "gray", ends, name, unit) for name, x in shown.items()]
    if truth is None:
        return _draw([grays + ([] if spread is None else [spread])], title)
    pairs = [(remove_metal(x, metal), remove_metal(truth, metal)) for x in images.values()]
    scores = [f"\n{psnr(*pair):.2f} dB,  SSIM {ssim(*pair):.3f}" for pair in pairs]
    grays = [gray._replace(caption=gray.caption + score) for gray, score in zip(grays, scores, strict=True)]
    white = insert_metal(truth, metal)
    first = _Map(ends[0] + span * np.asarray(magnitude(white)), "gray", ends, "truth", unit)
    limits, caption = (0.0, span / error_gain), f"|error| × {error_gain:g}"
    errors = [_Map(abs(gray.values - first.values), "inferno", limits, caption, unit) for gray in grays]
    return _draw([[first, *grays], [spread, *errors]], title)


def _doubt(std, interval, metal, span: float, unit: str, error_gain: float) -> _Map | None:
    """The map of half widths, else of standard deviations, if there is one."""
    if interval is not None:
        level, half_width = interval
        values = span * np.asarray(magnitude(remove_metal(half_width, metal)))
        return _Map(values, "inferno", (0.0, span / error_gain), f"half width of {100 * level:g} % interval", unit)
    if std is None:
        return None
    values = span * np.asarray(magnitude(remove_metal(std, metal)))
    return _Map(values, "viridis", (0.0, max(float(values.max()), 1e-6)), "std over draws", unit)


def _draw(rows: Sequence[Sequence[_Map | None]], title: str) -> Figure:
    """Lays the maps out on a grid of equal cells, with a colour bar at the end of each row (and start, if another)."""
    height, width = next(m.values.shape for m in rows[0] if m is not None)
    picture = _PICTURE * height / width
    lines = [max(m.caption.count("\n") + 1 for m in row if m is not None) for row in rows]
    heading = 1.8 * _LINE if title else 0.0
    size = (
        2 * _MARGIN + len(rows[0]) * (_PICTURE + _GAP),
        heading + sum(picture + _LINE * n + 2 * _GAP for n in lines) + _GAP,
    )
    figure = Figure(figsize=size, dpi=_DPI)

    def place(left: float, bottom: float, width: float) -> Axes:
        return figure.add_axes((left / size[0], bottom / size[1], width / size[0], picture / size[1]))

    bottom = size[1] - heading
    for row, n in zip(rows, lines, strict=True):
        bottom -= picture + _LINE * n + 2 * _GAP
        for c, m in enumerate(row):
            if m is None:
                continue
            left = _MARGIN + c * (_PICTURE + _GAP)
            mappable = _show(place(left, bottom, _PICTURE), m)
            if c == len(row) - 1:
                _bar(figure, place(left + _PICTURE + _GAP, bottom, _BAR), mappable, m.unit, "right")
            elif c == 0 and row[-1] is not None and m.colours != row[-1].colours:
                _bar(figure, place(left - _GAP - _BAR, bottom, _BAR), mappable, m.unit, "left")
    if title:
        figure.suptitle(title, fontsize=_LARGE, y=1 - _LINE / 2 / size[1])
    return figure


def _show(axes: Axes, m: _Map) -> AxesImage:
    axes.set_axis_off()
    axes.set_title(m.caption, fontsize=_SMALL, pad=3, linespacing=1.2)
    if m.outline is not None:
        axes.contour(m.outline, levels=[0.5], colors="deepskyblue", linewidths=0.6)
    return axes.imshow(m.values, cmap=m.colours, vmin=m.limits[0], vmax=m.limits[1], interpolation="nearest")


def _bar(figure: Figure, axes: Axes, mappable: AxesImage, unit: str, side: Literal["left", "right"]) -> None:
    bar = figure.colorbar(mappable, cax=axes)
    bar.outline.set_linewidth(0.4)
    axes.yaxis.set_ticks_position(side)
    axes.yaxis.set_label_position(side)
    axes.tick_params(labelsize=_SMALL - 1, width=0.4, length=2, pad=1.5)
    bar.locator = MaxNLocator(5)
    axes.set_title(unit, fontsize=_SMALL - 1, pad=3)


Line = tuple[Sequence[float | int], Sequence[float | int]]


def curves(
    panels: Mapping[str, Mapping[str, Line]], xlabel: str, *, title: str = "", logarithmic: bool = False
) -> Figure:
    """Lines over one horizontal axis, a panel for each quantity, with one legend.

    Args:
        panels: vertical label -> line name -> (x, y).
        xlabel: horizontal label.
        title: heading.
        logarithmic: whether the horizontal axis is.

    Returns:
        The figure.

    Raises:
        ValueError: nothing to draw.
    """
    if not any(panels.values()):
        raise ValueError("no line to draw; give at least one")
    figure = Figure(figsize=(0.4 + 3.6 * len(panels), 3.4), dpi=_DPI, layout="constrained")
    for axes, (ylabel, lines) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True):
        for i, (name, (x, y)) in enumerate(lines.items()):
            style = _LINES[i // _COLOURS % len(_LINES)]
            axes.plot(x, y, style, color=f"C{i % _COLOURS}", label=name, markersize=3, linewidth=1)
        if logarithmic:
            axes.set_xscale("log")
        axes.set_xlabel(xlabel, fontsize=_SMALL)
        axes.set_ylabel(ylabel, fontsize=_SMALL)
        axes.tick_params(labelsize=_SMALL)
        axes.grid(linewidth=0.3)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=_SMALL, loc="outside lower center", ncols=4, frameon=False)
    if title:
        figure.suptitle(title, fontsize=_LARGE)
    return figure
