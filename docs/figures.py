"""Draws the pictures of pages that an example of the gallery makes: `python docs/figures.py`, minutes on a CPU."""

import runpy
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parent
# The page -> the example whose last figure it shows.
FIGURES = {
    "methods": "08_methods_at_equal_calls",
    "trust": "05_where_not_to_trust",
    "extend": "11_sampler_of_your_own",
}


def main() -> None:
    """Runs each example and keeps its picture."""
    plt.show = lambda: None
    for page, example in FIGURES.items():
        runpy.run_path(str(DOCS / "gallery" / f"{example}.py"))
        plt.gcf().savefig(DOCS / f"{page}.png", dpi=110)
        plt.close("all")


if __name__ == "__main__":
    main()
