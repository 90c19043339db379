"""What pages name exists: links, files, fields, modes, configurations, functions; a README that fits on two screens."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import scoreinv
from scoreinv.build.field import MODES
from scoreinv.build.fields import TABLE
from scoreinv.citations import WORKS

ROOT = Path(__file__).parents[2]
PATTERNS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "experiments/README.md",
    "experiments/*/README.md",
    "scoreinv/weights/*.md",
)
PAGES = [page for pattern in PATTERNS for page in sorted(ROOT.glob(pattern))]
SECTIONS = {name.split(".")[0] for name in TABLE if "." in name}
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub and MyST make anchors of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = page if not name else page.parent / name
        assert found.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(found), f"{page.name} links to {target}"


@pages
def test_fields_modes_and_configurations_exist(page):
    text = page.read_text()
    fields = {re.sub(r"^parts\.\w+\.", "", name) for name in re.findall(r"--config\.([a-z_.]+)", text)}
    fields |= set(re.findall(rf"`((?:{'|'.join(sorted(SECTIONS))})\.[a-z_]+)\b[^`/(]*`", text))
    groups = {field.rpartition(".")[0] for field in TABLE}
    assert {name for name in fields if not name.endswith(".csv")} <= {*TABLE, *groups}
    assert set(re.findall(r"--mode=([a-z]+)", text)) <= set(MODES)
    for name in re.findall(r"--config=([\w/.]+)", text):
        assert (ROOT / name).exists() or (ROOT / "configs" / f"{name}.py").exists(), name


@pages
def test_files_and_functions_that_a_page_names_exist(page):
    text = page.read_text()
    files = re.findall(r"`((?:scoreinv|tests|experiments|configs|docs)/[\w/.]+)`", text)
    assert not {name for name in files if not (ROOT / name).exists()}
    names = set(re.findall(r"scoreinv\.([a-z]\w*)\(", text)) | set(re.findall(r"`scoreinv\.([a-z]\w*)`", text))
    assert not {
        name for name in names if not hasattr(scoreinv, name) and not (ROOT / "scoreinv" / f"{name}.py").exists()
    }


@pages
def test_python_on_a_page_parses_and_imports_what_there_is(page):
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module:
                package = node.module.partition(".")[0]
                if importlib.util.find_spec(package) is None:  # of an extra that is not installed
                    assert f'"{package.replace("_", "-")}>=' in (ROOT / "pyproject.toml").read_text()
                    continue
                module = importlib.import_module(node.module)
                unknown = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert not [name for name in unknown if not importlib.util.find_spec(f"{node.module}.{name}")]


def test_every_mode_has_its_line_on_the_first_page():
    table = (ROOT / "docs" / "start.md").read_text()
    assert not [mode for mode in MODES if f"`{mode}`" not in table]


def test_the_readme_is_short_and_shows_one_picture():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 120 and len(re.findall(r"!\[", text)) == 1


def test_every_method_has_its_sentence_and_every_exported_name_its_line():
    methods = (ROOT / "docs" / "methods.md").read_text()
    assert not [name for name in WORKS if name != "unconditional" and f"| `{name}` |" not in methods]
    listed = (ROOT / "docs" / "reference.md").read_text().split()
    assert not [name for name in scoreinv.__all__ if name != "__version__" and name not in listed]
