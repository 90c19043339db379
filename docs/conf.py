"""The documentation: `sphinx-build -W docs docs/_build`; with `-D plot_gallery=0` no example of the gallery runs."""

import os
from importlib import metadata

from sphinx.ext import autosummary

project = "scoreinv"
author = "The scoreinv developers"
project_copyright = author
release = metadata.version("scoreinv")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "gallery/README.rst", "sg_execution_times.rst"]
# The lists of names in reference.md make a page of each.
autosummary_generate = True
autosummary_imported_members = True
# The one line of a name goes on after "(Song et al. 2022, eq. 3)".
autosummary.WELL_KNOWN_ABBREVIATIONS = (*autosummary.WELL_KNOWN_ABBREVIATIONS, "eq.")
# What stands between single backticks in docstrings is code.
default_role = "code"
html_theme = "furo"
html_title = "scoreinv"
html_static_path = ["_static"]
html_css_files = ["scoreinv.css"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# The shapes of jaxtyping, as in "*slices H W C", are no markup; an attribute's stands in the signature.
napoleon_attr_annotations = False
intersphinx_mapping = {
    "jax": ("https://docs.jax.dev/en/latest/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "python": ("https://docs.python.org/3/", None),
}
# Pages of others are looked up where a network is at hand; without one their names are printed without a link.
if os.environ.get("SCOREINV_DOCS_OFFLINE"):
    intersphinx_mapping = {}
    linkcheck_ignore = [r"https?://"]
# Examples run where the documentation is built, on data that comes with the packages.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "sphinx_gallery.sorting.FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}


def escape_norms(app, what, name, obj, options, lines):
    """Docstrings write |y - A x| for norms and x * y for products, which reStructuredText takes for markup."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            # What stands between backticks is literal already.
            parts = line.split("`")
            parts[::2] = [part.replace("|", "\\|").replace(" * ", " \\* ") for part in parts[::2]]
            lines[i] = "`".join(parts)


def setup(app):
    """Before napoleon, which makes markup of the sections."""
    app.connect("autodoc-process-docstring", escape_norms, priority=100)
