"""The lines that the code keeps: who imports whom, and what loading the definitions brings in."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each may import those before it, and none after it.
SCIENCE = [
    "vocabulary", "errors", "locks", "disk", "progress", "schemas", "tables", "home", "leftovers", "fingerprint", "study", "intake", "readings",
    "cohort", "imaging", "training", "evaluation", "explanation", "report", "phantom", "prediction", "results", "project",
]  # fmt: skip
ABOVE = ["resources", "assets", "automation", "definitions", "comparison", "command", "cli"]
HEAVY = ["torch", "timm", "cv2", "mlflow", "matplotlib", "sklearn", "pandas"]


def imported(path: Path) -> set[str]:
    """Modules of this project that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def files(part: str) -> list[Path]:
    folder = ROOT / part if part in {"resources", "assets"} else ROOT / "hnp_pipeline" / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def part_of(module: str) -> str | None:
    top, _, rest = module.partition(".")
    if top in {"resources", "assets"}:
        return top
    return rest.partition(".")[0] or None if top == "hnp_pipeline" else None


@pytest.mark.parametrize("part", SCIENCE)
def test_science_knows_neither_dagster_nor_mlflow(part):
    for path in files(part):
        tops = {m.partition(".")[0] for m in imported(path)}
        assert not tops & {"dagster", "mlflow", "assets", "resources"}, path


@pytest.mark.parametrize("part", SCIENCE)
def test_science_imports_in_its_order(part):
    later = set(SCIENCE[SCIENCE.index(part) + 1 :]) | set(ABOVE)
    if part == "project":
        later -= {"automation"}
    for path in files(part):
        wrong = {m for m in imported(path) if part_of(m) in later}
        assert not wrong, (path, wrong)


def test_resources_and_assets_import_downwards():
    for path in files("resources"):
        assert not {m for m in imported(path) if part_of(m) in {"assets", "definitions", "command", "cli"}}, (
            path
        )
    for path in files("assets"):
        assert not {m for m in imported(path) if part_of(m) in {"definitions", "command", "cli"}}, path


def test_loading_the_definitions_imports_nothing_heavy(tmp_path):
    code = (
        "import sys, dagster as dg; from hnp_pipeline.definitions import defs; "
        "defs(); print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    )
    env = os.environ | {"HNP_HOME": str(tmp_path), "HNP_PROFILE": "tiny"}
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *HEAVY],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"


def test_no_file_grows_beyond_one_idea():
    long = {
        str(p.relative_to(ROOT)): n
        for part in (*SCIENCE, *ABOVE)
        for p in files(part)
        if (n := len(p.read_text("utf-8").splitlines())) > 330  # about 300 is the aim
    }
    assert not long, long
