"""Draws kspace.png: `python docs/kspace.py`."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

HEIGHT, WIDTH = 12, 16


def arrow(axes, start, end, text, place):
    """An arrow with its name."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "C3"}, annotation_clip=False)
    axes.text(*place, text, color="C3", ha="center", va="center")


def grid(axes, title, shades):
    """An array with its axes and the element that is the origin."""
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=2)
    axes.set_xticks(np.arange(WIDTH + 1) - 0.5, [])
    axes.set_yticks(np.arange(HEIGHT + 1) - 0.5, [])
    axes.grid(color="white", linewidth=1)
    axes.tick_params(length=0)
    axes.add_patch(plt.Rectangle((WIDTH // 2 - 0.5, HEIGHT // 2 - 0.5), 1, 1, color="C1"))
    axes.set_title(title, fontsize=11)
    axes.set(xlim=(-2.5, WIDTH), ylim=(HEIGHT, -2.5))
    arrow(axes, (-0.5, -1.1), (4, -1.1), "columns", (6.2, -1.1))
    arrow(axes, (-1.1, -0.5), (-1.1, 4), "rows", (-1.1, 4.8))
    for side in axes.spines.values():
        side.set_visible(False)


def main() -> None:
    """k-space on a grid, the image, and positions that lie on none."""
    figure, (kspace, image, radial) = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained")
    measured = np.zeros(WIDTH)
    measured[1::4] = measured[6:10] = 1
    grid(kspace, "kspace[H, W]: zero frequency at [H // 2, W // 2]\n(dark: measured, mask[W])",
         np.tile(0.3 + measured, (HEIGHT, 1)))  # fmt: skip
    rows, columns = np.meshgrid(np.arange(HEIGHT) - 6, np.arange(WIDTH) - 8, indexing="ij")
    grid(image, "image[H, W]: origin at [H // 2, W // 2]\n(rows downwards, columns to the right)",
         0.3 + ((rows / 5) ** 2 + (columns / 6) ** 2 < 1))  # fmt: skip
    for angle in np.deg2rad(111.246) * np.arange(9):
        reach = np.linspace(-0.5, 0.5, 24, endpoint=False)
        radial.plot(reach * np.cos(angle), reach * np.sin(angle), ".", color="C0", markersize=3)
    radial.plot(0, 0, "s", color="C1")
    radial.set(title="trajectory[..., 2]: (row, column),\ncycles per pixel, from -1/2 to 1/2", aspect="equal",
               xlabel="column", ylabel="row", xlim=(-0.55, 0.55), ylim=(0.55, -0.55))  # fmt: skip
    figure.savefig(Path(__file__).with_name("kspace.png"), dpi=110)


if __name__ == "__main__":
    main()
