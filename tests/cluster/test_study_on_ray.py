"""The same study on two nodes and on one machine: the same tables."""

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from hnp_pipeline import schemas
from hnp_pipeline.study import PROFILES
from hnp_pipeline.tables import read_table

pytestmark = [pytest.mark.end_to_end]


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> Path:
    settings = yaml.safe_load((PROFILES / "tiny.yaml").read_text())
    settings |= {"tasks": ["presence"]}
    settings["compute"] = settings.get("compute", {}) | {"threads": 1}
    path = tmp_path_factory.mktemp("profile") / "one_task.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def raw(tmp_path_factory, phantom) -> Path:
    """The development collection only: a step on Ray costs seconds, whatever it makes."""
    raw = tmp_path_factory.mktemp("raw")
    shutil.copytree(phantom / "raw" / "first", raw / "first", symlinks=True)
    return raw


@pytest.fixture(scope="module")
def homes(tmp_path_factory, raw, hnp, nodes, profile) -> dict[str, tuple[Path, str]]:
    """The home of each executor, and what the command said."""
    made = {}
    for executor in ("local", "ray"):
        home = tmp_path_factory.mktemp(executor) / "home"
        home.mkdir(mode=0o700)
        if made:
            shutil.copy(made["local"][0] / "pseudonym.key", home)  # the same patients by the same names
        told = hnp(
            *("run", "--raw", raw, "--home", home, "--profile", profile, "--until", "training"),
            **nodes.variables,
            HNP_EXECUTOR=executor,
        )
        made[executor] = home, told
    return made


def tables(home: Path) -> dict[str, pa.Table]:
    return {path.stem: read_table(path) for path in (home / "tables").glob("*.parquet")}


def test_the_tables_are_equal_in_content(homes):
    local, ray = tables(homes["local"][0]), tables(homes["ray"][0])
    assert local.keys() == ray.keys() == set(schemas.TABLES)
    different = [name for name in local if not local[name].equals(ray[name])]
    assert different == []
    assert all(local[name].num_rows for name in ("cohort", "exclusions", "validation_predictions", "metrics"))


def test_the_models_are_equal_bit_for_bit(homes):
    for fold in range(4):
        local, ray = (
            homes[e][0] / "models" / "presence" / f"fold={fold}" / "model.safetensors" for e in homes
        )
        assert local.read_bytes() == ray.read_bytes()


def test_every_step_ran_as_a_job_of_its_own_and_folds_side_by_side(homes, nodes):
    _, told = homes["ray"]
    logs = sorted((nodes.folder / "session_latest" / "logs").glob("job-driver-dagster-step-*.log"))
    steps = re.findall(r"\] (\S+)\s+because", told)
    assert len(steps) == len(set(steps)) == len(logs)
    said = [line for line in told.splitlines() if "presence/fold_model" in line]
    first_end = next(i for i, line in enumerate(said) if "done in" in line)
    assert sum("because" in line for line in said[:first_end]) > 1
    assert "Ray" not in homes["local"][1]


def test_nothing_changed_nothing_made_and_the_setting_stays(homes, hnp, nodes):
    told = hnp("run", "--home", homes["ray"][0], "--until", "training", **nodes.variables)
    assert "nothing to do" in told
    assert (
        yaml.safe_load((homes["ray"][0] / "study.yaml").read_text())["study"]["compute"]["executor"] == "ray"
    )
