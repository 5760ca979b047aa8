"""From the hospital's CSV to the cohort at size: every step that `hnp run --until cohort` runs, each in its own process.

    python -m benchmarks.intake [--rows 100000 1000000 10000000]

The export has no pictures, so every x-ray row is looked up on the disk and found absent: what is measured is tables.
Prints seconds and peak resident memory of each step, and the rows of the cohort's tables as a check.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = ("radiographs", "readings", "surgeries", "cohort", "shared tables")
KEY = b"benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--worker", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        step, folder = options.worker
        start = time.perf_counter()
        work(step, Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"s": time.perf_counter() - start, "mb": peak}))
        return
    print(f"{'x-ray rows':>12} {'step':>14} {'seconds':>8} {'peak MB':>8}")
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder) / "raw" / "first", rows)
            for step in STEPS:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.intake", "--worker", step, folder],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    print(done.stderr[-2000:])
                    return
                found = json.loads(done.stdout.splitlines()[-1])
                print(f"{rows:>12,} {step:>14} {found['s']:>8.1f} {found['mb']:>8.0f}", flush=True)
            check(Path(folder), rows)


def generate(folder: Path, rows: int) -> None:
    """Two CSV tables and a small third, about 60 bytes a row, patients scattered over the rows."""
    import duckdb

    folder.mkdir(parents=True)
    patients = max(1, int(rows / 5.2))
    with duckdb.connect() as db:
        for name, query in (
            ("xrays", f"""SELECT printf('%08d', hash(i) % {patients}) AS patient_id, date '2012-01-01' + (hash(i, 1) % 3000)::INTEGER
                AS study_date, ['AP','LAT','LO','RO','FLEX','EXT'][(i % 6) + 1] AS view, printf('images/%09d.jpg', i) AS file,
                date '1940-01-01' + ((hash(i) % {patients}) * 7 % 20000)::INTEGER AS birth_date, 'F' AS sex,
                'Hospital ' || i % 3 AS hospital, 'unused ' || i AS extra FROM range({rows}) t(i)"""),
            ("mri_readings", f"""SELECT printf('%08d', hash(i, 9) % {patients}) AS patient_id, date '2012-01-01' + (hash(i, 2) % 3000)::INTEGER
                AS mri_date, 'L-SPINE' AS body_part, 0 AS l1_2, 0 AS l2_3, i % 9 = 0 AS l3_4, i % 3 = 0 AS l4_5, i % 4 = 0 AS l5_s1
                FROM range({rows * 3 // 10}) t(i)""".replace("i % 9 = 0 ", "(i % 9 = 0)::INTEGER ").replace("i % 3 = 0 ", "(i % 3 = 0)::INTEGER ").replace("i % 4 = 0 ", "(i % 4 = 0)::INTEGER ")),
            ("surgeries", f"""SELECT printf('%08d', hash(i, 5) % {patients}) AS patient_id, date '2015-01-01' AS surgery_date,
                'lumbar_disc' AS site FROM range({patients // 20}) t(i)"""),
        ):  # fmt: skip
            db.execute(f"COPY ({query}) TO '{folder / name}.csv' (HEADER)")


def work(step: str, folder: Path) -> None:
    from hnp_pipeline import study
    from hnp_pipeline.home import Home
    from hnp_pipeline.intake.collection import open_collection
    from hnp_pipeline.schemas import WITHDRAWN, schema
    from hnp_pipeline.tables import content_hash_of, write_table

    home, collection = Home(folder / "home"), open_collection(folder / "raw" / "first")
    parts = {n: home.intake("first", n) for n in ("radiographs", "readings", "surgeries", "names", "files")}
    match step:
        case "radiographs":
            from hnp_pipeline.imaging.radiographs import RadiographFiles, write_radiographs

            files = RadiographFiles(parts["radiographs"], parts["names"], parts["files"])
            write_radiographs(collection, study.Intake(), KEY, files, threads=2)
            content_hash_of(files.rows)
        case "readings":
            from hnp_pipeline.intake.mri_readings import read_mri_readings
            from hnp_pipeline.readings.rows import label_rows

            typed, _ = read_mri_readings(collection, study.Intake(), KEY)
            write_table(label_rows(typed, study.Readings()), parts["readings"])
        case "surgeries":
            from hnp_pipeline.intake.surgeries import read_surgeries

            write_table(read_surgeries(collection, study.Intake(), KEY)[0], parts["surgeries"])
        case "cohort":
            from hnp_pipeline.cohort.matching import Sources, write_cohort

            rows = ([parts[n]] for n in ("radiographs", "readings", "surgeries"))
            tables = (home.table(n) for n in ("cohort", "exclusions", "cohort_flow"))
            sources = Sources(*rows, schema(WITHDRAWN).empty_table(), {"first": "development"})
            write_cohort(sources, study.Cohort(), *tables, threads=2)
        case "shared tables":
            from hnp_pipeline.cohort.database import build_database
            from resources.tables import Tables

            for name in ("radiographs", "readings"):
                Tables(home).write_shared(name, [parts[name]])
            names = ("radiographs", "readings", "cohort", "exclusions", "cohort_flow")
            build_database({n: home.table(n) for n in names}, home.database)


def check(folder: Path, rows: int) -> None:
    import duckdb

    with duckdb.connect(folder / "home" / "hnp.duckdb", read_only=True) as db:
        counts = {
            t: db.execute(f"SELECT count(*) FROM {t}").fetchall()[0][0] for t in ("cohort", "exclusions")
        }
    assert sum(counts.values()) == rows, counts
    print(f"{'':>12} {counts['cohort']:,} in, {counts['exclusions']:,} out, {rows:,} delivered")


if __name__ == "__main__":
    main()
