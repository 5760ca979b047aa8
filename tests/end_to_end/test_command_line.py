"""Wrong input: one clear message, no traceback, 2 for usage, folder and settings, 1 for a table."""

import csv
import io

import duckdb
import pytest


def one_line(told: str) -> str:
    lines = told.strip().splitlines()
    assert len(lines) == 1, told
    return lines[0]


def test_no_such_raw_folder(hnp, tmp_path):
    told = hnp("run", "--raw", tmp_path / "nowhere", "--home", tmp_path / "home", code=2)
    assert "nowhere" in one_line(told)
    assert not (tmp_path / "home").exists()


def test_empty_raw_folder(hnp, tmp_path):
    (tmp_path / "raw").mkdir()
    assert "no collection" in one_line(
        hnp("run", "--raw", tmp_path / "raw", "--home", tmp_path / "home", code=2)
    )


def test_no_raw_folder_given(hnp, tmp_path):
    assert "--raw" in one_line(hnp("run", "--home", tmp_path / "home", code=2))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("epochss: 3", "epochss"),
        ("training: {epochs: 0}", "training.epochs"),
        ("imaging: {size: big}", "imaging.size"),
        ("- a list", "settings"),
        ("a: [", "YAML"),
    ],
)
def test_settings_that_cannot_be_used(hnp, tmp_path, phantom, settings, words):
    file = tmp_path / "study.yaml"
    file.write_text(settings)
    told = hnp("run", "--raw", phantom / "raw", "--home", tmp_path / "home", "--profile", file, code=2)
    assert words in one_line(told)


def test_unknown_profile(hnp, tmp_path, phantom):
    told = hnp("run", "--raw", phantom / "raw", "--home", tmp_path / "home", "--profile", "papre", code=2)
    assert "papre" in one_line(told) and "paper" in told


def test_wrong_usage(hnp):
    assert "usage" in hnp("run", "--until", "lunch", code=2)
    assert "usage" in hnp(code=2)
    assert "must be a whole number, 1 or more" in hnp("phantom", "nowhere", "--patients", "many", code=2)
    assert "must be a port" in hnp("ui", "--port", 70000, code=2)
    assert "must be a number from 0 to 120" in hnp("predict", "a.png", "--age", "old", code=2)


def test_predict_before_there_are_models(hnp, tmp_path, phantom):
    image = next((phantom / "raw" / "first" / "images").glob("*.jpg"))
    assert "run the study first" in one_line(hnp("predict", image, "--home", tmp_path / "home", code=1))


def test_a_table_without_a_required_column(hnp, tmp_path):
    folder = tmp_path / "raw" / "one"
    folder.mkdir(parents=True)
    (folder / "xrays.csv").write_text("patient_id,study_date,view,age\nP1,2020-01-01,AP,50\n")
    told = hnp(
        "run",
        "--raw",
        tmp_path / "raw",
        "--home",
        tmp_path / "home",
        "--profile",
        "tiny",
        "--until",
        "cohort",
        code=1,
    )
    assert "one" in told and "xrays" in told and "file" in told and "P1" not in told


def test_a_table_that_cannot_be_used_stops_its_whole_collection(hnp, tmp_path):
    """X-rays without their readings would all be excluded, without their surgeries wrongly kept."""
    for name, column in (("one", "body_part"), ("two", "part")):
        folder = tmp_path / "raw" / name
        folder.mkdir(parents=True)
        (folder / "xrays.csv").write_text("patient_id,study_date,view,file,age\n007,2020-01-01,AP,a.png,50\n")
        (folder / "mri_readings.csv").write_text(
            f"patient_id,mri_date,{column},reading\n7,2020-01-02,LS,HNP L4-5\n"
        )
    options = ("--raw", tmp_path / "raw", "--home", tmp_path / "home", "--profile", "tiny")
    told = hnp("run", *options, "--until", "cohort", code=1)
    [failed] = [line for line in told.splitlines() if line.startswith("failed:")]
    assert all(step in failed for step in ("radiographs[two]", "readings[two]", "surgeries[two]"))
    assert "collection two: table mri_readings" in failed and "body_part" in failed
    assert "warning: patient ids that would match only without leading zeros" in told
    with duckdb.connect() as db:
        rows = db.execute(f"SELECT collection FROM '{tmp_path}/home/tables/exclusions.parquet'").fetchall()
    assert rows == [("one",)]


def test_the_cohort_of_the_real_export(hnp, tmp_path, shared):
    raw = shared / "data" / "spider" / "raw"
    told = hnp("run", "--raw", raw, "--home", tmp_path / "home", "--profile", "tiny", "--until", "cohort")
    assert "clahe_cache" not in told and "fold_model" not in told
    with duckdb.connect(str(tmp_path / "home" / "hnp.duckdb"), read_only=True) as db:
        [(included,), (excluded,)] = [
            db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("cohort", "exclusions")
        ]
        [(patients,)] = db.execute("SELECT count(DISTINCT patient_key) FROM readings").fetchall()
    assert included + excluded == 406
    assert patients == 218


def test_readings_of_the_real_reports_as_csv(hnp, shared, tmp_path):
    told = hnp("readings", shared / "data" / "lumbar_mri_notes" / "notes.csv")
    rows = list(csv.DictReader(io.StringIO(told)))
    assert len(rows) == 238
    assert next(iter(rows[0])) == "id" and {"l1_2", "l5_s1", "uncertain", "evidence"} <= set(rows[0])
    assert rows[1]["l5_s1"] == "1" and rows[1]["l4_5"] == "0"  # "disc protrusion noted at L5-S1 level"


def test_readings_without_that_column(hnp, tmp_path):
    file = tmp_path / "reports.csv"
    file.write_text("id,words\n1,L4-5 HNP\n")
    assert "words" in one_line(hnp("readings", file, "--text", "reading", code=1))
