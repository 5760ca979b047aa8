"""One study from raw exports to the report, by the command, on a phantom whose truth is known."""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pytest
import yaml

from hnp_pipeline import schemas
from hnp_pipeline.study import PROFILES

pytestmark = pytest.mark.end_to_end
# Only where it is known where the discs are; only where a reading's columns and text differ, and the phantom's agree.
AWAITED = {"localisation", "reading_disagreements"}
STAGES = {  # in the metadata of a step, and in MLflow
    "clahe_cache": {"read_seconds", "decode_seconds", "clahe_seconds", "write_seconds"},
    "level/fold_model": {
        "seconds_loading",
        "seconds_data_wait",
        "seconds_forward_backward",
        "seconds_validation",
        "data_share_of_step",
    },
}


class Run:
    """A home and what the command said when it was made."""

    def __init__(self, raw: Path, home: Path, told: str) -> None:
        self.raw, self.home, self.told = raw, home, told

    def sql(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.home / "hnp.duckdb"), read_only=True) as db:
            return db.execute(query).fetchall()

    def steps(self, told: str) -> list[str]:
        return re.findall(r"\] (\S+)\s+because", told)


@pytest.fixture(scope="module")
def first_only(tmp_path_factory, phantom, hnp) -> Run:
    """The study with its development collection only."""
    raw, home = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("home") / "home"
    shutil.copytree(phantom / "raw" / "first", raw / "first", symlinks=True)
    shutil.copy(phantom / "raw" / "withdrawn.csv", raw)
    settings = yaml.safe_load((PROFILES / "tiny.yaml").read_text())
    profile = raw.parent / f"{raw.name}.yaml"
    profile.write_text(yaml.safe_dump(settings | {"tasks": ["presence", "level", "multiview"]}))
    return Run(raw, home, hnp("run", "--raw", raw, "--home", home, "--profile", profile))


@pytest.fixture(scope="module")
def study(first_only, phantom, hnp) -> Run:
    """The same home after the second collection has arrived."""
    shutil.copytree(phantom / "raw" / "second", first_only.raw / "second", symlinks=True)
    told = hnp("run", "--home", first_only.home)
    return Run(first_only.raw, first_only.home, told)


def test_without_a_test_collection_everything_else_runs(first_only):
    assert (first_only.home / "report" / "index.html").exists()
    assert len([s for s in first_only.steps(first_only.told) if "fold_model" in s]) == 12


def test_the_second_collection_trains_nothing(study):
    made = study.steps(study.told)
    assert "radiographs[second]" in made and "level/test_evaluation" in made and "study_report" in made
    assert not [s for s in made if "fold_model" in s or "[first]" in s]


def test_every_table_has_its_columns_and_rows(study):
    for name, (_, columns) in schemas.TABLES.items():
        assert [r[0] for r in study.sql(f"SELECT column_name FROM (DESCRIBE {name})")] == [
            c.name for c in columns
        ]
        if name not in AWAITED:
            assert study.sql(f"SELECT count(*) FROM {name}") > [(0,)], name


def test_the_readmes_queries_run_and_find_rows(study):
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    queries = re.search(r"```sql\n(.*?)```", readme, re.DOTALL)[1].split(";")[:-1]
    assert len(queries) == 5
    assert all(len(study.sql(q)) > 0 for q in queries)


def test_the_database_explains_itself_and_answers_first_questions(study):
    assert study.sql("SELECT count(*) FROM duckdb_tables() WHERE comment IS NULL") == [(0,)]
    assert study.sql(
        "SELECT count(*) FROM duckdb_columns() WHERE comment IS NULL AND NOT internal AND table_name IN (SELECT table_name FROM duckdb_tables())"
    ) == [(0,)]
    views = [r[0] for r in study.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal")]
    assert len(views) >= 5
    assert all(study.sql(f"SELECT count(*) FROM {v}")[0][0] > 0 for v in views)


def test_planted_exclusions_are_the_truths_row_by_row(study, phantom):
    truth = str(phantom / "truth" / "images.parquet")
    differing = study.sql(
        f"""
        WITH found AS (
            SELECT image_id, reason FROM exclusions UNION ALL SELECT image_id, 'cohort' FROM cohort
        )
        SELECT image_id, expected, reason FROM '{truth}' FULL JOIN found USING (image_id)
        WHERE expected IS DISTINCT FROM reason
        """
    )
    assert differing == []


def test_labels_are_the_truths(study, phantom):
    truth = str(phantom / "truth" / "images.parquet")
    same = " AND ".join(f"c.{k} = t.{k}" for k in ("l1_2", "l2_3", "l3_4", "l4_5", "l5_s1"))
    [(rows, right)] = study.sql(
        f"SELECT count(*), count(*) FILTER ({same}) FROM cohort c JOIN '{truth}' t USING (image_id)"
    )
    assert rows > 60 and right == rows


def test_predictions_cover_each_image_once_a_model(study):
    assert study.sql("SELECT count(*) FROM validation_predictions WHERE task = 'level'") == study.sql(
        "SELECT 5 * count(*) FROM cohort WHERE split = 'development'"
    )
    assert study.sql("SELECT count(*) FROM test_image_predictions WHERE task = 'level'") == study.sql(
        "SELECT 4 * 5 * count(*) FROM cohort WHERE split = 'test'"
    )
    assert study.sql("SELECT count(*) FROM test_image_predictions WHERE task = 'multiview'") == study.sql(
        "SELECT 4 * 5 * count(DISTINCT patient_key) FROM cohort WHERE split = 'test'"
    )
    leaks = study.sql(
        "SELECT count(*) FROM validation_predictions p JOIN cohort c USING (image_id) WHERE p.fold <> c.fold"
    )
    assert leaks == [(0,)]


def test_nothing_changed_nothing_made(study, hnp):
    told = hnp("run", "--home", study.home)
    assert "nothing to do" in told
    assert study.steps(told) == []


def test_every_asset_is_materialised_and_every_run_succeeded(study):
    os.environ["DAGSTER_HOME"] = str(study.home / "dagster")
    try:
        with dg.DagsterInstance.get() as instance:
            assert {r.dagster_run.status for r in instance.get_run_records()} == {dg.DagsterRunStatus.SUCCESS}
            from hnp_pipeline.definitions import build_defs
            from hnp_pipeline.project import resolve

            graph = build_defs(project=resolve({}, home=study.home)).resolve_asset_graph()
            missing = [
                k for k in graph.get_all_asset_keys() if instance.get_latest_materialization_event(k) is None
            ]
            assert missing == []
            listed = _listings(instance, graph)
            assert {name for name, n in listed.items() if not n} >= {"patients_in_one_fold", "metrics_finite"}
            assert listed["images_decodable"] > 0
    finally:
        del os.environ["DAGSTER_HOME"]


def test_mlflow_holds_a_parent_a_task_and_a_child_a_fold(study):
    from resources.tracking import Tracking

    tracking = Tracking(_home(study), "hnp-tiny")
    runs = tracking.client.search_runs([tracking.experiment_id], max_results=200)
    kinds = sorted(r.data.tags["hnp.kind"] for r in runs)
    assert kinds.count("task") == 3 and kinds.count("fold") == 12
    assert {r.info.status for r in runs} == {"FINISHED"}
    fold = next(r for r in runs if r.data.tags["hnp.kind"] == "fold")
    parents = {r.info.run_id for r in runs if r.data.tags["hnp.kind"] == "task"}
    assert fold.data.tags["mlflow.parentRunId"] in parents
    assert fold.data.tags["dagster.asset"].endswith("fold_model")
    assert fold.data.params["backbone"] == "test_efficientnet"
    assert {"loss", *STAGES["level/fold_model"]} <= fold.data.metrics.keys()
    cache = next(r for r in runs if r.data.tags["hnp.kind"] == "cache")
    assert cache.data.metrics.keys() >= STAGES["clahe_cache"]


@pytest.mark.parametrize(("asset", "partition"), [("clahe_cache", "first"), ("level/fold_model", "0")])
def test_where_time_went_is_told(study, asset, partition):
    told = _metadata(study, asset, partition)
    assert told.keys() >= STAGES[asset]
    assert all(told[name].value >= 0 for name in STAGES[asset])


def test_heat_maps_are_where_the_table_says(study):
    rows = study.sql(
        "SELECT file, heatmap, rank, probability FROM gradcam WHERE task = 'level' ORDER BY rank"
    )
    assert len(rows) == 12
    assert [r[3] for r in rows] == sorted((r[3] for r in rows), reverse=True)
    assert all((study.home / f).stat().st_size > 0 for r in rows for f in r[:2])


def test_no_kind_of_file_is_left_behind_that_could_hold_code(study):
    """Of these a planted pickle was tried (`test_no_code_from_data.py`); of a new kind it must be, too."""
    known = ".csv .db .duckdb .html .jpg .json .key .md .parquet .png .safetensors .txt .u8 .yaml"
    services = ".complete .err .out .lock .log"
    kinds = {p.suffix or p.name for p in study.home.rglob("*") if p.is_file()}
    assert kinds - {*known.split(), *services.split()} == {".py", "MLmodel"}
    own = (
        study.home / "mlflow" / "artifacts" / "models"
    )  # a model's own loader, which MLflow runs from its source
    assert all(p.is_relative_to(own) for p in study.home.rglob("*.py"))


@pytest.mark.parametrize("task", ["level", "multiview"])
def test_predict_gives_the_evaluations_probabilities(study, hnp, task):
    [(key, age, images)] = study.sql(
        "SELECT patient_key, any_value(age), list((image_id, view)) FROM cohort WHERE split = 'test' "
        "GROUP BY 1 HAVING count(DISTINCT age) = 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    )
    names = dict(
        duckdb.sql(f"SELECT image_id, file FROM '{study.home}/intake/second/names.parquet'").fetchall()
    )
    files = [study.raw / "second" / names[image] for image, _ in images]
    known = [] if task == "level" else ["--age", age, "--views", ",".join(view for _, view in images)]
    told = hnp("predict", *files, "--home", study.home, "--task", task, *known)
    found = {m[0]: float(m[1]) for m in re.findall(r"^(l\d_s?\d) +([\d.]+)", told, re.M)}
    expected = dict(
        study.sql(
            f"SELECT level, probability FROM test_predictions WHERE task = '{task}' AND patient_key = '{key}'"
        )
    )
    assert found.keys() == expected.keys()
    assert all(abs(found[k] - expected[k]) < 1e-5 for k in expected)
    assert "Not a diagnostic device" in told


def test_multiview_is_judged_by_patient_and_stands_beside_age_and_sex(study):
    assert "validation is per image (Multiview: per patient)" in study.told
    for table in ("metrics", "calibration", "level_matrix", "averaging", "subgroups"):
        assert study.sql(f"SELECT DISTINCT unit FROM {table} WHERE task = 'multiview'") == [("patient",)]
    assert study.sql(
        "SELECT DISTINCT first, unit FROM comparisons WHERE second = 'age_and_sex' AND first = 'multiview'"
    ) == [("multiview", "patient")]
    assert study.sql(
        "SELECT DISTINCT s.images = c.images FROM subgroups s, (SELECT count(*) images FROM cohort WHERE split = 'test')"
        " c WHERE s.task = 'multiview' AND s.by = 'collection'"
    ) == [(True,)]


def test_the_attention_of_multiview_is_told_by_view(study):
    """Over a patient's images the shares are 1 on average, and so they are over all."""
    told = _metadata(study, "multiview/test_evaluation")["attention_by_view"].value
    rows = [line.strip("| ").split("|") for line in told.splitlines()[2:]]
    count, share = (np.array([float(row[i]) for row in rows]) for i in (1, 2))
    assert [(count.sum(),)] == study.sql("SELECT count(*) FROM cohort WHERE split = 'test'")
    assert np.average(share, weights=count) == pytest.approx(1, abs=1e-3)


def test_every_picture_and_cached_image_is_as_the_study_knows_it(study, hnp):
    told = hnp("cache", "--verify", "--home", study.home)
    for collection in ("first", "second"):
        [(files,)] = duckdb.sql(
            f"SELECT count(*) FROM '{study.home}/intake/{collection}/files.parquet'"
        ).fetchall()
        [(cached,)] = duckdb.sql(
            f"SELECT count(*) FROM '{study.home}/cache/{collection}/*/index.parquet'"
        ).fetchall()
        assert files and cached
        line = f"{collection}: {files} pictures read, 0 changed unseen; {cached} cached images read, 0 mended"
        assert line in told


def test_caches_are_listed_and_old_ones_removed(study, hnp):
    [today] = (study.home / "cache" / "first").glob("*/")
    old = shutil.copytree(today, today.with_name("0" * 16))
    lines = hnp("cache", "--home", study.home).splitlines()
    [first, second] = [line for line in lines if line.startswith("first")]
    assert old.name in first and " old " in first and today.name in second and " in use " in second
    assert "size 64," in second
    assert f"removed first {old.name}" in hnp("cache", "--remove-old", "--home", study.home)
    assert not old.exists() and today.exists()


def test_a_broken_table_stops_its_collection_only(study, hnp):
    table = study.raw / "second" / "xrays.csv"
    good = table.read_text()
    try:
        table.write_text(good.replace("view", "vieew", 1))
        told = hnp("run", "--home", study.home, code=1)
        assert "second" in told and "xrays" in told and "view" in told
        assert study.sql("SELECT count(*) > 0 FROM cohort WHERE collection = 'second'") == [(True,)]
    finally:
        table.write_text(good)
    told = hnp("run", "--home", study.home)
    assert not [s for s in study.steps(told) if "fold_model" in s]


def _metadata(study: Run, asset: str, partition: str | None = None) -> dict:
    """What stands with the last materialisation of an asset, or of one of its partitions."""
    os.environ["DAGSTER_HOME"] = str(study.home / "dagster")
    try:
        with dg.DagsterInstance.get() as instance:
            key, partitions = dg.AssetKey(asset.split("/")), [partition] if partition else None
            wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=partitions)
            [record] = instance.fetch_materializations(wanted, limit=1).records
            return dict(record.asset_materialization.metadata)
    finally:
        del os.environ["DAGSTER_HOME"]


def _listings(instance, graph) -> dict[str, int]:
    """How many rows the queries find that stand with a check's last result; all collections and tasks together."""
    found: Counter[str] = Counter()
    for key in graph.asset_check_keys:
        result = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key].event
        metadata = result.dagster_event.asset_check_evaluation_data.metadata
        if "rows" in metadata:
            query = metadata["rows"].value.removeprefix("```sql\n").removesuffix("\n```")
            found[key.name] += len(duckdb.sql(query).fetchall())
    return found


def _home(study: Run):
    from hnp_pipeline.home import Home

    return Home(study.home)
