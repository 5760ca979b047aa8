"""Several commands and a reader on one home at the same time; and commands that are killed there."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import yaml

from benchmarks.disturbance import KEY, Kill, disturbed
from hnp_pipeline.study import PROFILES
from hnp_pipeline.tables import content_hash_of

pytestmark = pytest.mark.end_to_end
# Opens the database as DuckDB's own shell does, for reading and writing, and keeps it open.
READER = """
import sys, duckdb
with duckdb.connect(sys.argv[1]) as db:
    for _ in range(2):
        print(db.execute("SELECT count(*) FROM cohort").fetchone()[0], flush=True)
        sys.stdin.readline()
"""


@dataclass
class AtOnce:
    """Two commands started together, a third with another rule told to wait, a reader that came in between."""

    home: Path
    ends: list[tuple[int, str]]
    read: list[int]
    raw: Path
    profile: Path  # of the first two
    tables: dict[str, str]  # after them: the hash of each


def started(home: Path, *options: object) -> subprocess.Popen:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
    command = [Path(sys.executable).parent / "hnp", "run", "--home", home, "--until", "cohort", *options]
    return subprocess.Popen(
        list(map(str, command)),
        env=clean | {"HNP_PSEUDONYM_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def at_once(tmp_path_factory, phantom) -> AtOnce:
    folder = tmp_path_factory.mktemp("at_once")
    home, raw, profile, other = (
        folder / "home",
        phantom / "raw",
        PROFILES / "tiny.yaml",
        folder / "other.yaml",
    )
    settings = yaml.safe_load(profile.read_text())
    other.write_text(yaml.safe_dump(settings | {"cohort": {"interval_days": 5}}))
    commands = [started(home, "--raw", raw, "--profile", profile) for _ in range(2)]
    # the one that is refused says so after some seconds, while the other is still at work
    lines = [command.stdout.readline() for command in commands]
    first = 0 if "another run" in lines[1] else 1
    commands.append(started(home, "--raw", raw, "--profile", other, "--wait"))
    told = [before + c.communicate()[0] for before, c in zip(lines, commands, strict=False)]
    tables = hashes(home)
    database = str(home / "hnp.duckdb")
    with subprocess.Popen(
        [sys.executable, "-c", READER, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        read = [reader.stdout.readline()]
        told.append(commands[2].communicate()[0])
        read.append(reader.communicate("\n\n")[0])
    ends = [(c.returncode, t) for c, t in zip(commands, told, strict=True)]
    ends = [ends[first], ends[1 - first], ends[2]]
    return AtOnce(home, ends, list(map(int, read)), raw, profile, tables)


def hashes(home: Path) -> dict[str, str]:
    return {p.name: content_hash_of(p) for p in (home / "tables").glob("*.parquet")}


def test_one_works_one_says_so_and_one_waits(at_once):
    (code, told), (refused, reason), (waited, later) = at_once.ends
    assert "Traceback" not in told + reason + later
    assert code == 0 and "steps made" in told
    assert refused == 1 and "another run is at work" in reason and "--wait" in reason
    assert len(reason.splitlines()) == 1
    assert waited == 0 and "cohort" in later and "radiographs" not in later


def test_every_run_succeeded_and_none_is_left(at_once):
    with dg.DagsterInstance.from_config(str(at_once.home / "dagster")) as instance:
        runs = [r.dagster_run for r in instance.get_run_records()]
        assert len(runs) > 8 and {r.status for r in runs} == {dg.DagsterRunStatus.SUCCESS}
        read = [r.tags["dagster/partition"] for r in runs if dg.AssetKey("radiographs") in r.asset_selection]
        assert sorted(read) == ["first", "second"]


def test_a_reader_disturbs_nobody_and_is_not_disturbed(at_once):
    before, after = at_once.read
    with duckdb.connect(str(at_once.home / "hnp.duckdb"), read_only=True) as db:
        (rows,) = db.execute("SELECT count(*) FROM cohort").fetchone()
    assert before == after > rows > 0


def test_killed_and_started_again_the_tables_are_those_of_a_run_in_peace(at_once):
    """Last: back to the first settings, whose tables are known. `benchmarks.killing` is the long form."""
    assert hashes(at_once.home) != at_once.tables
    kills = [Kill("cohort", "all", 0.5), Kill("warehouse", "step", 0.3)]
    story = disturbed(at_once.raw, at_once.home, at_once.profile, kills, "--until", "cohort")
    assert len(story.hit) == 2 and not story.wrong, story
    assert hashes(at_once.home) == at_once.tables
