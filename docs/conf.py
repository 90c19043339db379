"""The documentation: `pip install '.[docs]' && sphinx-build -W docs docs/_build`."""

import os
from importlib.metadata import version

from sphinx_gallery.sorting import FileNameSortKey

project = "scoreinv"
author = "The scoreinv developers"
release = version("scoreinv")
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
html_theme = "furo"
html_title = "scoreinv"
html_static_path = ["_static"]
html_css_files = ["scoreinv.css"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
intersphinx_mapping = {
    "jax": ("https://docs.jax.dev/en/latest/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "python": ("https://docs.python.org/3/", None),
}
# Pages of others are looked up where a network is at hand; without one their names are printed without a link.
if os.environ.get("SCOREINV_DOCS_OFFLINE"):
    intersphinx_mapping = {}
# Examples run where the documentation is built, on data that comes with the packages.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": FileNameSortKey,
    "download_all_examples": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}
