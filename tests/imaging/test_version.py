"""The code that pixels depend on."""

import ast
from pathlib import Path

from hnp_pipeline.imaging import clahe, version

IMAGING = Path(clahe.__file__).parent


def imported(module: str) -> set[str]:
    """The modules of `imaging` that one imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((IMAGING / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hnp_pipeline.imaging"):
            last = node.module.removeprefix("hnp_pipeline.imaging").removeprefix(".")
            found |= {last} if last else {name.name for name in node.names}
    return found


def test_every_module_between_a_file_and_its_pixels_counts() -> None:
    needed, seen = {"clahe", "decoding"}, set()
    while needed - seen:
        module = (needed - seen).pop()
        seen.add(module)
        needed |= imported(module)
    assert set(version.MODULES) == needed


def test_a_version_of_16_digits() -> None:
    assert len(version.pixel_code()) == 16
