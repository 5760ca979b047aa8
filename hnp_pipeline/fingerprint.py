"""What code a result was made by: a hash of source text that comments and docstrings do not change."""

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


@cache
def source_hash(*parts: str) -> str:
    """16 hex digits of the code in some parts of `hnp_pipeline`: packages (`training`) or modules (`study`).

    Comments, docstrings and layout do not count, so tidying retrains nothing.

    Raises:
        FileNotFoundError: there is no such part.
    """
    digest = hashlib.sha256()
    for part in parts:
        folder = _PACKAGE / part
        files = sorted(folder.rglob("*")) if folder.is_dir() else [folder.with_suffix(".py")]
        for file in files:
            digest.update(_digest(file))
    return digest.hexdigest()[:16]


@cache
def _digest(file: Path) -> bytes:
    """Of one file, which is part of many parts; nothing where it holds no code."""
    if file.suffix == ".py":
        return hashlib.sha256(ast.dump(_bare(file.read_text(encoding="utf-8"))).encode()).digest()
    if file.suffix in {".sql", ".jinja", ".css", ".csv"}:
        return hashlib.sha256(file.read_bytes()).digest()
    return b""


def _bare(source: str) -> ast.Module:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node):
            node.body = node.body[1:]
    return tree
