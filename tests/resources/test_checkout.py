"""Which code made a run: told by git where this is a checkout, by the source itself where it is none."""

import shutil
import subprocess
from pathlib import Path

import pytest

from resources import checkout


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The code in a folder of its own, `tmp_path/code`."""
    root = tmp_path / "code"
    root.mkdir()
    monkeypatch.setattr(checkout, "_ROOT", root)
    checkout.code_tags.cache_clear()
    yield root
    checkout.code_tags.cache_clear()


def git(folder: Path, *arguments: str) -> None:
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_checkout_names_its_commit_and_says_when_it_was_changed(elsewhere):
    (elsewhere / "a").write_text("1")
    git(elsewhere, "init")
    git(elsewhere, "add", "a")
    git(elsewhere, "commit", "-m", "first")
    tags = checkout.code_tags()
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert tags["mlflow.source.git.commit"].startswith(tags["hnp.git"])
    (elsewhere / "a").write_text("2")
    assert checkout.describe().endswith("-dirty")


def test_without_git_the_hash_of_the_source_says_which_code(elsewhere, monkeypatch):
    assert set(checkout.code_tags()) == {"hnp.code"}
    checkout.code_tags.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert shutil.which("git") is None
    assert set(checkout.code_tags()) == {"hnp.code"}


def test_somebody_elses_checkout_around_the_code_is_not_ours(elsewhere):
    git(elsewhere.parent, "init")
    git(elsewhere.parent, "commit", "--allow-empty", "-m", "theirs")
    assert checkout.describe() is None
