"""What a person sees and clicks under `hnp ui`, in Chromium: the Dagster UI and the MLflow UI on a small study."""

import dataclasses
import os
import re
import urllib.error
import urllib.request
from pathlib import Path

import dagster as dg
import pytest
import yaml
from browsing import Watched
from served_study import served, until

from hnp_pipeline.study import PROFILES

pytestmark = pytest.mark.end_to_end

PICTURES = os.environ.get("HNP_PICTURES")  # a folder: keep what was seen there, for docs/pictures


@pytest.fixture(scope="module")
def study(chromium, hnp, phantom, tmp_path_factory):
    """A study up to its image cache, under `hnp ui`, with the sensors switched off."""
    place = tmp_path_factory.mktemp("seen")
    profile = place / "profile.yaml"
    settings = yaml.safe_load((PROFILES / "tiny.yaml").read_text("utf-8"))
    profile.write_text(yaml.safe_dump(settings | {"tasks": ["level"]}))
    raw = phantom / "raw"
    hnp("run", "--raw", raw, "--home", place / "home", "--profile", profile, "--until", "imaging")
    with served(place / "home", raw, profile) as study:
        study.switch("keep_up_to_date", on=False)
        until("MLflow", lambda: answers(study.ports[1]))
        yield study


@pytest.fixture
def page(study, chromium):
    page = Watched(chromium)
    yield page
    page.close()
    away = [r for r in page.requests if not r.startswith("http://127.0.0.1:")]
    assert away == []  # nothing was asked of another machine


def keep(page: Watched, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def dagster(study, path: str) -> str:
    return f"http://127.0.0.1:{study.port}{path}"


def answers(port: int, **headers: str) -> int:
    """The status of a server's first page; 0 if there is none."""
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_graph_shows_the_study_as_groups(study, page):
    page.goto(dagster(study, "/asset-groups/"))
    for group in ("raw", "intake", "imaging", "cohort", "level", "report"):
        page.get_by_text(group, exact=True).first.wait_for()
    keep(page, "dagster-graph")


def test_an_asset_is_materialised_by_a_click(study, page):
    page.goto(dagster(study, "/assets/near_duplicates"))
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    run = until("a run", lambda: study.runs_of("near_duplicates", None))[0]
    until("its end", lambda: study.status(run).value in ("SUCCESS", "FAILURE"))
    assert study.status(run) is dg.DagsterRunStatus.SUCCESS
    page.goto(dagster(study, f"/runs/{run.run_id}"))
    page.get_by_text("Success", exact=True).first.wait_for()


def test_numbers_over_time_are_plotted_on_an_assets_page(study, page):
    page.goto(dagster(study, "/assets/cohort?view=overview"))
    page.get_by_text("Plots", exact=True).first.click()
    page.locator("canvas").first.wait_for()
    assert page.evaluate("[...document.querySelectorAll('canvas')].every(c => c.width > 50 && c.height > 20)")
    keep(page, "dagster-plots")


def test_two_runs_are_compared_in_mlflow(study, page):
    experiment = study.tracking.experiment_id
    runs = study.tracking.client.search_runs([experiment], "tags.`hnp.kind` = 'cache'")
    assert len(runs) == 2
    ids = ",".join(f'"{run.info.run_id}"' for run in runs)
    base = f"http://127.0.0.1:{study.ports[1]}"
    page.goto(f'{base}/#/compare-runs?runs=[{ids}]&experiments=["{experiment}"]')
    for run in runs:
        page.get_by_text(run.info.run_name).first.wait_for()
    page.get_by_text("images").first.wait_for()
    keep(page, "mlflow-compare")


def test_our_links_open_mlflow_for_training_and_not_for_language_models(study, page):
    tracking = dataclasses.replace(study.tracking, address=f"http://127.0.0.1:{study.ports[1]}")
    run = tracking.runs()[0]
    page.goto(tracking.link(run.info.run_id))
    page.get_by_text(run.info.run_name).first.wait_for()
    page.get_by_role("link", name="Runs", exact=True).first.wait_for()
    assert page.get_by_role("link", name="Judges").count() == 0


def test_every_server_listens_on_this_machine_alone(study):
    listening = {
        (line.split()[1].split(":")[0], int(line.split()[1].split(":")[1], 16))
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    for port in study.ports:
        assert {host for host, there in listening if there == port} == {"0100007F"}  # 127.0.0.1


def test_mlflow_refuses_a_host_that_is_not_this_machine(study):
    assert answers(study.ports[1]) == 200
    assert answers(study.ports[1], Host="evil.example") == 403


def test_the_partitions_of_a_fold_are_launched(study, page):
    page.goto(dagster(study, "/assets/level/fold_model?view=partitions"))
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    page.get_by_role("button", name="All", exact=True).click()
    keep(page, "dagster-launch")
    page.get_by_role("button", name=re.compile("Launch")).last.click()
    run = until("the run of a fold", lambda: study.runs_of("level/fold_model", "0"))[0]
    until("its start", lambda: study.status(run).value in ("STARTED", "SUCCESS", "FAILURE"), 300)
    assert study.status(run) in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS)
