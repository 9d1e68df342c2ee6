"""Imports run one way (read from the syntax trees, nothing is executed)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {
    "emo2.types": 0,
    "emo2.errors": 0,
    "emo2.media": 1,
    "emo2.motion": 1,
    "emo2.hands": 1,
    "emo2.features": 2,
    "emo2.guidance": 2,
    "emo2.stage1": 3,
    "emo2.stage2": 3,
    "emo2.draft": 3,
    "emo2.pipeline": 4,
    "emo2.provenance": 4,
    "emo2.weights": 4,
    "emo2.doctor": 4,
    "emo2.jobs": 5,
    "emo2.gallery": 5,
    "emo2.cli": 6,
    "emo2.__main__": 7,
    "emo2.ui": 6,
    "app": 7,
}
OUTSIDE = ("emo2.training", "emo2.evaluation")
SOURCES = [*sorted((ROOT / "emo2").rglob("*.py")), ROOT / "app.py"]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def area(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_down(path):
    here = area(module_name(path))
    if here in OUTSIDE or here == "emo2":
        return
    assert here in LAYERS, f"{here} has no place in the layers"
    for module in imports(path):
        if not module.startswith("emo2.") or area(module) == here:
            continue
        assert not module.startswith(OUTSIDE), f"{here} imports {module}: the library never does"
        below = LAYERS[area(module)]
        assert below < LAYERS[here] or LAYERS[here] == below == 1, f"{here} imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_gradio_stays_in_the_page(path):
    name = module_name(path)
    if not (name == "app" or name.startswith("emo2.ui")):
        assert not any(module.split(".")[0] == "gradio" for module in imports(path))


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_hold_one_idea(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 370, f"{path.name} has {lines} lines: split it"


def test_import_is_light():
    """`import emo2` must not pull in a network or a renderer."""
    assert imports(ROOT / "emo2" / "__init__.py") <= {"os", "tempfile", "pathlib"}
