"""Draws ct-geometry.png: `python docs/ct_geometry.py`."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

ANGLE = np.deg2rad(25)


def frame(axes, title):
    """Image, axes and the origin."""
    axes.add_patch(plt.Rectangle((-1, -1), 2, 2, fill=False, color="0.6"))
    axes.annotate("", (1.6, 0), (-1.4, 0), arrowprops={"arrowstyle": "->", "color": "0.5"})
    axes.annotate("", (0, 1.6), (0, -1.4), arrowprops={"arrowstyle": "->", "color": "0.5"})
    axes.text(1.62, 0.04, "u")
    axes.text(0.05, 1.55, "v")
    axes.plot(0, 0, "k+")
    axes.set(title=title, aspect="equal", xlim=(-2.4, 3.4), ylim=(-3.0, 2.5))
    axes.axis("off")


def main() -> None:
    """Draws both beams at one angle."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 5), layout="constrained")
    along, down = np.array([np.cos(ANGLE), np.sin(ANGLE)]), np.array([np.sin(ANGLE), -np.cos(ANGLE)])
    frame(left, "parallel: u cos a + v sin a = (j - axis) pitch")
    for column in range(-4, 5):
        start, end = 0.3 * column * along - 1.6 * down, 0.3 * column * along + 1.7 * down
        left.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "C0", "lw": 0.7})
    frame(right, "fan: source at source_to_axis (-sin a, cos a)")
    source = -2.2 * down
    right.plot(*source, "o", color="C1")
    right.text(source[0] + 0.12, source[1] + 0.05, "source")
    for column in range(-4, 5):
        end = 2.0 * down + 0.5 * column * along
        right.plot(*zip(source, end, strict=True), color="C1", lw=0.7)
    for axes, distance, width in ((left, 1.85, 1.4), (right, 2.0, 2.2)):
        axes.plot(*zip(distance * down - width * along, distance * down + width * along, strict=True), "k", lw=2)
        tip = distance * down + width * along
        axes.text(tip[0] + 0.05, tip[1] - 0.25, "columns j")
        axes.annotate("", tip + 0.3 * along, tip, arrowprops={"arrowstyle": "->"})
        axes.text(0.55, 0.1, "a")
        axes.plot(0.5 * np.cos(np.linspace(0, ANGLE, 20)), 0.5 * np.sin(np.linspace(0, ANGLE, 20)), "0.3")
        axes.plot(*zip((0, 0), 1.2 * along, strict=True), "0.3", ls=":")
    figure.savefig(Path(__file__).with_name("ct-geometry.png"), dpi=110)


if __name__ == "__main__":
    main()
