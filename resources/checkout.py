"""Which code makes the runs: the commit of this checkout, and a hash of the source that needs no git."""

import subprocess
from functools import cache
from pathlib import Path

from hnp_pipeline.fingerprint import source_hash

_ROOT = Path(__file__).resolve().parent.parent


@cache
def code_tags() -> dict[str, str]:
    """MLflow tags: `hnp.code`, the hash of hnp_pipeline's source; in a checkout the commit, `-dirty` if it was changed."""
    tags = {"hnp.code": source_hash(".")}
    if described := describe():
        tags["hnp.git"] = described
        tags["mlflow.source.git.commit"] = _git("rev-parse", "HEAD")
    return tags


def describe() -> str | None:
    """The commit as `git describe` tells it; None where there is no git, or the code lies in somebody else's checkout."""
    if _git("rev-parse", "--show-prefix", "--is-inside-work-tree") != "true":  # no prefix: this is the top
        return None
    return _git("describe", "--always", "--dirty") or None


def _git(*arguments: str) -> str:
    try:
        told = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return ""
    return told.stdout.strip()
