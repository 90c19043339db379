"""The gallery: every example is a short plain file that opens as a notebook; run, each makes a picture."""

import ast
import copy
import runpy
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
EXAMPLES = sorted(GALLERY.glob("[0-9][0-9]_*.py"))
MOST_LINES = 80


def test_there_are_examples_with_numbers_of_their_own():
    assert len(EXAMPLES) >= 12
    assert [path.name[:2] for path in EXAMPLES] == [f"{i:02}" for i in range(1, len(EXAMPLES) + 1)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_title_a_summary_and_text_between_its_code(path):
    text = path.read_text()
    tree = ast.parse(text)
    title, underline, blank, *summary = (ast.get_docstring(tree) or "").splitlines()
    assert title and underline == "=" * len(title) and not blank and summary
    cells = text.split("\n# %%\n")[1:]
    assert len(cells) >= 2 and any(cell.startswith("# ") for cell in cells)
    assert len(text.splitlines()) <= MOST_LINES
    imported = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not {name for name in imported if name.split(".")[0] in ("tests", "experiments", "configs")}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_opens_as_a_notebook(path):
    parser = pytest.importorskip("sphinx_gallery.py_source_parser", reason="the extra `docs` is not installed")
    from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
    from sphinx_gallery.notebook import jupyter_notebook

    _, blocks = parser.split_code_and_text_blocks(str(path))
    cells = jupyter_notebook(blocks, copy.deepcopy(DEFAULT_GALLERY_CONF), str(GALLERY))["cells"]
    kinds = [cell["cell_type"] for cell in cells]
    assert kinds[0] == "markdown" and kinds.count("markdown") >= 2 and "code" in kinds
    assert "".join(cells[0]["source"]).lstrip().startswith("# ")


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_makes_a_picture(path, monkeypatch, tmp_path):
    if "extra `noncartesian`" in path.read_text():
        pytest.importorskip("jax_finufft", reason="the extra `noncartesian` is not installed")
    matplotlib.use("Agg")
    monkeypatch.setattr(plt, "show", lambda: None)
    monkeypatch.chdir(tmp_path)
    try:
        runpy.run_path(str(path))
        figures = [plt.figure(number) for number in plt.get_fignums()]
        assert figures
        for figure in figures:
            figure.canvas.draw()
            assert np.asarray(figure.canvas.buffer_rgba())[..., :3].std() > 10
    finally:
        plt.close("all")
    assert not list(tmp_path.iterdir())
