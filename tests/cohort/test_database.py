import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from cohort_reference import reading, write_sources, xray

from hnp_pipeline import schemas, study
from hnp_pipeline.cohort.database import build_database
from hnp_pipeline.cohort.matching import write_cohort

VIEWS = {
    "cohort_by_hospital",
    "cohort_by_view",
    "cohort_by_sex",
    "cohort_by_age",
    "cohort_by_level",
    "cohort_by_fold",
    "flow",
    "exclusions_by_collection",
}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    xrays = [
        xray(row=1, hospital="A", age=29.9),
        xray(row=2, hospital="A", age=30.0, view="AP", sex="F"),
        xray(row=3, patient="q", view=None),
        xray("second", 1, "r", hospital="B"),
    ]
    sources = write_sources(tmp_path / "a=b", xrays, [reading(), reading("r", labels="00000")])
    paths = {name: tmp_path / "a=b" / f"{name}.parquet" for name in ("cohort", "exclusions", "cohort_flow")}
    write_cohort(sources, study.Cohort(), *paths.values())
    return paths | {"metrics": tmp_path / "missing.parquet"}


def test_tables_comments_and_views(tables: dict[str, Path], tmp_path: Path) -> None:
    build_database(tables, tmp_path / "hnp.duckdb")
    with duckdb.connect(tmp_path / "hnp.duckdb", read_only=True) as db:
        names = {n for (n,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        assert names == {"cohort", "exclusions", "cohort_flow"}
        assert db.execute("SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND table_name IN "
                          "('cohort', 'exclusions', 'cohort_flow') AND comment IS NULL").fetchall() == [(0,)]  # fmt: skip
        described = {c.name: c.meaning for c in schemas.COHORT}
        comments = db.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'cohort'")
        assert dict(comments.fetchall()) == described
        views = db.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall()
        assert {name for name, _ in views} == VIEWS
        assert all(comment for _, comment in views)

        ages = db.execute("SELECT age_band, images FROM cohort_by_age WHERE split = 'development'").fetchall()
        assert ages == [("20-29", 1), ("30-39", 1)]
        levels = db.execute("SELECT level, positive_images, positive_patients FROM cohort_by_level WHERE "
                            "split = 'development'").fetchall()  # fmt: skip
        assert levels[3] == ("l4_5", 2, 1)
        assert levels[-1] == ("hnp", 2, 1)
        assert db.execute("FROM cohort_by_hospital").fetchall() == [
            ("development", "A", 2, 1, 1.0),
            ("test", "B", 1, 1, 0.0),
        ]
        flow = db.execute("SELECT reason, development_images, test_images FROM flow").fetchall()
        assert flow[0] == ("export", 3, 1)
        assert flow[-1] == ("in_development", 2, 1)


def test_a_reader_keeps_the_old_file_while_it_is_replaced(tables: dict[str, Path], tmp_path: Path) -> None:
    database = tmp_path / "hnp.duckdb"
    build_database({"cohort": tables["cohort"]}, database)
    with duckdb.connect(database, read_only=True) as reader:
        assert len(reader.execute("SHOW TABLES").fetchall()) == 1 + 6  # with the views on the cohort alone
        build_database(tables, database)
        assert reader.execute("SELECT count(*) FROM cohort").fetchall() == [(3,)]
    with duckdb.connect(database, read_only=True) as reader:
        assert len(reader.execute("SHOW TABLES").fetchall()) == 3 + 8
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["hnp.duckdb"]


def test_nothing_there_yet(tmp_path: Path) -> None:
    build_database({"cohort": tmp_path / "cohort.parquet"}, tmp_path / "hnp.duckdb")
    with duckdb.connect(tmp_path / "hnp.duckdb", read_only=True) as db:
        assert db.execute("SHOW TABLES").fetchall() == []


def test_every_table_can_be_copied_in(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    paths = {}
    for name, (_, columns) in schemas.TABLES.items():
        paths[name] = tmp_path / f"{name}.parquet"
        pq.write_table(schemas.empty(columns), paths[name])
    build_database(paths, tmp_path / "hnp.duckdb")
    with duckdb.connect(tmp_path / "hnp.duckdb", read_only=True) as db:
        for name, (_, columns) in schemas.TABLES.items():
            found = db.sql(f"FROM {name}").to_arrow_table().schema
            assert found.names == [c.name for c in columns]
        for view in VIEWS:
            assert db.execute(f"FROM {view}").fetchall() == []


def test_what_a_killed_reader_wrote_does_not_stop_the_next(tables: dict[str, Path], tmp_path: Path) -> None:
    database = tmp_path / "hnp.duckdb"
    build_database(tables, database)
    scribble = "import duckdb, os, sys; db = duckdb.connect(sys.argv[1]); db.execute('CREATE TABLE scribble (a int)'); os._exit(0)"
    subprocess.run([sys.executable, "-c", scribble, database], check=True)
    assert database.with_name("hnp.duckdb.wal").exists()
    build_database(tables, database)
    with duckdb.connect(database, read_only=True) as db:
        assert ("scribble",) not in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()
