"""Imports point down: drivers -> build -> {training, evaluation, ...} -> {samplers, ...} -> prior -> operators."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "scoreinv"
LAYERS = [
    {"sde", "parallel", "compilation_cache", "citations", "typing"},
    {"operators"},
    {"prior"},
    {"samplers", "baselines", "models", "formats"},
    {"training", "evaluation", "datasets", "scans", "simulation"},
    {"build"},
    {"api", "reconstruction"},
    {"drivers"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "scoreinv":
            names |= {f"{node.module}.{a.name}" for a in node.names}
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names if a.name.split(".")[0] == "scoreinv"}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = LEVEL[room(path)]
    for name in imported_modules(path):
        assert LEVEL[name.split(".")[1]] <= own, f"{path.name} (layer {own}) imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "samplers"], ids=lambda p: p.name)
def test_samplers_know_no_modality(path):
    operators = {n for n in imported_modules(path) if n.startswith("scoreinv.operators")}
    assert all(n.split(".")[2] in ("base", "linear_solvers") for n in operators)


def test_no_name_of_a_lazy_package_is_that_of_a_module_in_it():
    for stub in PACKAGE.rglob("__init__.pyi"):
        names = {alias.name for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)
                 for alias in node.names}  # fmt: skip
        modules = {path.stem for path in stub.parent.glob("*.py")} | {path.name for path in stub.parent.iterdir()}
        assert not names & modules, f"{stub}: importing the module hides the function of its name"


def test_every_room_has_a_layer():
    assert {room(p) for p in FILES} <= set(LEVEL)


def test_no_two_modules_and_no_two_public_classes_share_a_name():
    modules = [p.name for p in FILES if p.name not in ("__init__.py", "base.py")]
    classes = [
        node.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    for names in (modules, classes):
        assert not {name for name in names if names.count(name) > 1}
