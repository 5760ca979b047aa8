"""What each `--until` asks for."""

import pytest

from hnp_pipeline.automation.jobs import STAGES, goals
from hnp_pipeline.automation.planner import upstream_of
from hnp_pipeline.definitions import study_assets
from hnp_pipeline.project import resolve


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return resolve({}, home=tmp_path_factory.mktemp("home"), profile="tiny")


def wanted(project, until: str) -> set[str]:
    found = upstream_of(study_assets(project), goals(project.study, until))
    return {key.to_user_string() for key in found}


def test_each_stage_adds_its_own(project):
    added, before = {}, set()
    for stage in STAGES:
        now = wanted(project, stage)
        assert before < now
        added[stage], before = now - before, now
    intake = {"withdrawn", "radiographs", "readings", "surgeries"}
    assert added["cohort"] == intake | {"cohort", "exclusions", "cohort_flow", "warehouse"}
    assert added["imaging"] == {"clahe_cache", "development_set", "test_set", "near_duplicates"}
    tasks = project.study.tasks
    assert added["training"] == {f"{t}/{a}" for t in tasks for a in ("fold_model", "cross_validation")}
    assert added["evaluation"] == {f"{t}/{a}" for t in tasks for a in ("test_evaluation", "diagnostics")} | {
        "comparisons"
    }
    assert added["report"] == {f"{t}/{a}" for t in tasks for a in ("gradcam", "registered_model")} | {
        "localisation",
        "study_report",
        "cards",
    }


def test_the_last_stage_is_everything_the_study_makes(project):
    made = {key.to_user_string() for a in study_assets(project) if hasattr(a, "keys") for key in a.keys}
    assert wanted(project, "report") == made
