"""The cohort against the same rules in pandas: seconds and peak memory, from 0.1 to 10 million x-ray rows.

    .venv/bin/python -m benchmarks.cohort [--rows 100000 1000000] [--pandas-rows …] [--threads 2] [--memory 4GB]

Intake tables are generated as Parquet: 5.2 images and 1.6 readings a patient, 5 % operated, 1 % of every fault, a
development and a test collection. Each measurement is a process of its own (time from start of reading to files on
disk, imports left out; memory: the process's peak resident size). Ours also assigns the folds and writes each
exclusion's detail, which the pandas version does not. Where both ran, their verdicts are compared row by row.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLES = ("radiographs", "readings", "surgeries")
TUNED = "pandas, tuned"
ROLES = {"first": "development", "second": "test"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--pandas-rows", type=int, nargs="*", help="sizes that pandas is tried at; default: all"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="3GB", help="DuckDB's memory limit")
    parser.add_argument("--folder", type=Path, help="where tables are generated and kept; default: temporary")
    parser.add_argument("--worker", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker, options.threads, options.memory)
        return
    print(f"{'rows':>12} {'who':>13} {'seconds':>9} {'CPU s':>7} {'peak MB':>8}  pandas / ours")
    with tempfile.TemporaryDirectory() as temporary:
        for rows in options.rows:
            folder = (options.folder or Path(temporary)) / str(rows)
            if not (folder / "surgeries.parquet").exists():
                generate(folder, rows)
            pandas_too = options.pandas_rows is None or rows in options.pandas_rows
            reference = None
            for who in ("ours", *["pandas", TUNED] * pandas_too):
                found, ratio = run(who, folder, options), ""
                if who == "ours":
                    reference = found
                elif found and reference:
                    time_ratio, memory_ratio = found["s"] / reference["s"], found["mb"] / reference["mb"]
                    ratio = f"{time_ratio:.1f} × the time, {memory_ratio:.1f} × the memory; {compare(folder)}"
                figures = "did not manage"
                if found:
                    figures = f"{found['s']:>9.2f} {found['cpu']:>7.2f} {found['mb']:>8.0f}"
                print(f"{rows:>12,} {who:>13} {figures}  {ratio}", flush=True)


def run(who: str, folder: Path, options: argparse.Namespace) -> dict[str, float] | None:
    command = [sys.executable, __file__, "--worker", who, str(folder)]
    command += ["--threads", str(options.threads), "--memory", options.memory]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-500:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def work(who: str, folder: str, threads: int, memory: str) -> None:
    if who == "ours":
        seconds, processor = ours(Path(folder), threads, memory)
    else:
        seconds, processor = peer(Path(folder), coded=who == TUNED)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "cpu": processor, "mb": peak}))


def clock() -> tuple[float, float]:
    """Seconds on the wall and of the processor: the second tells how far to trust the first on a busy machine."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    now = clock()
    return now[0] - start[0], now[1] - start[1]


def generate(folder: Path, rows: int) -> None:
    """Patients lie scattered over the rows, as in an export by date; pseudonyms and hashes have their real length."""
    import duckdb

    folder.mkdir(parents=True)
    patients = max(1, int(rows / 5.2))
    with duckdb.connect(config={"threads": "2", "memory_limit": "3GB", "temp_directory": str(folder)}) as db:
        db.execute("CREATE MACRO one_in(n, i, salt) AS hash(i, salt) % n = 0")
        db.execute(  # two visits a patient
            "CREATE MACRO visit(p, k) AS date '2009-11-01' + (hash(p, (k % 2)::INTEGER, 'visit') % 4150)::INTEGER"
        )
        db.execute(
            f"""
            COPY (
                WITH rows AS (SELECT i, hash(i, 'patient') % {patients} AS p FROM range({rows}) t(i)),
                full_rows AS (SELECT *, IF(p % 45 = 0, 'second', 'first') AS collection, visit(p, i) AS day FROM rows)
                SELECT
                    collection || '/' || (i + 1) AS image_id, collection, i + 1 AS row,
                    IF(one_in(200, i, 'missing'), NULL, left(sha256('key' || p), 32)) AS patient_key,
                    IF(one_in(200, i, 'missing'), NULL, left(sha256('id' || p), 32)) AS patient_digest,
                    left(sha256('birth' || p || IF(one_in(1000, i, 'birth'), 'other', '')), 32) AS birth_digest,
                    'hospital ' || p % 3 AS hospital,
                    IF(one_in(100, i, 'view'), NULL, ['AP','LAT','LO','RO','FLEX','EXT'][(hash(i) % 6)::INTEGER + 1]) AS view,
                    IF(one_in(100, i, 'view'), 'AAAA', NULL) AS view_found,
                    day AS study_date,
                    16 + hash(p, 'age') % 70 + 0.5::DOUBLE AS age,
                    hash(p, 'age') % 70 < 2 AS under_age,
                    IF(p % 10 = 0, NULL, IF(p % 2 = 0, 'F', 'M')) AS sex,
                    IF(one_in(200, i, 'missing'), 'patient_id: blank', NULL) AS missing,
                    IF(one_in(100, i, 'unreadable'), 'truncated', NULL) AS unreadable,
                    sha256('image' || IF(one_in(100, i, 'copy'), 'p' || p, 'i' || IF(one_in(5000, i, 'shared'), i // 50000, i)))
                        AS sha256,
                    2000::INTEGER AS width, 2500::INTEGER AS height
                FROM full_rows
            ) TO '{folder}/radiographs.parquet' (COMPRESSION zstd)
            """
        )
        db.execute(
            f"""
            COPY (
                WITH rows AS (SELECT i, hash(i, 'reading') % {patients} AS p FROM range({rows * 3 // 10}) t(i))
                SELECT
                    IF(p % 45 = 0, 'second', 'first') AS collection, i + 1 AS row, left(sha256('key' || p), 32) AS patient_key,
                    visit(p, i) + (hash(i, 'off') % 240)::INTEGER - 120 AS mri_date,
                    NOT one_in(20, i, 'cervical') AS lumbar,
                    (hash(i, 1) % 32 = 0)::TINYINT AS l1_2, (hash(i, 2) % 16 = 0)::TINYINT AS l2_3,
                    (hash(i, 3) % 9 = 0)::TINYINT AS l3_4, (hash(i, 4) % 3 = 0)::TINYINT AS l4_5,
                    IF(one_in(20, i, 'blank'), NULL, (hash(i, 5) % 4 = 0)::TINYINT) AS l5_s1,
                    'column' AS label_source, NULL::VARCHAR AS evidence, false AS uncertain
                FROM rows
            ) TO '{folder}/readings.parquet' (COMPRESSION zstd)
            """
        )
        db.execute(
            f"""
            COPY (
                SELECT 'first' AS collection, i + 1 AS row, left(sha256('key' || p), 32) AS patient_key,
                    IF(one_in(20, i, 'blank'), NULL, visit(p, i) + (hash(i, 'operated') % 60)::INTEGER - 30) AS surgery_date,
                    NOT one_in(4, i, 'knee') AS lumbar_disc
                FROM (SELECT i, hash(i, 'surgery') % {patients} AS p FROM range({patients // 20}) t(i))
            ) TO '{folder}/surgeries.parquet' (COMPRESSION zstd)
            """
        )
        db.execute(
            f"""
            COPY (SELECT left(sha256('key' || p), 32) AS patient_key FROM range({patients}) t(p) WHERE one_in(500, p, 'withdrawn'))
            TO '{folder}/withdrawn.parquet'
            """
        )


def ours(folder: Path, threads: int, memory: str) -> tuple[float, float]:
    import pyarrow.parquet as pq

    from hnp_pipeline import study
    from hnp_pipeline.cohort.matching import Sources, write_cohort

    start = clock()
    radiographs, readings, surgeries = ([folder / f"{name}.parquet"] for name in TABLES)
    withdrawn = pq.read_table(folder / "withdrawn.parquet")
    names = ("cohort", "exclusions", "cohort_flow")
    paths = [folder / "ours" / f"{name}.parquet" for name in names]
    write_cohort(
        Sources(radiographs, readings, surgeries, withdrawn, ROLES), study.Cohort(), *paths, threads, memory
    )
    return since(start)


def peer(folder: Path, coded: bool) -> tuple[float, float]:
    """The rules as a good analyst writes them in pandas: needed columns only, masks, merge_asof where it serves.

    `coded`: with patients as numbers instead of their keys, as one does who has measured.
    """
    import numpy as np
    import pandas as pd

    start = clock()
    levels = ["l1_2", "l2_3", "l3_4", "l4_5", "l5_s1"]
    x = pd.read_parquet(
        folder / "radiographs.parquet",
        columns=["image_id", "collection", "row", "patient_key", "birth_digest", "hospital", "view", "study_date", "age",
                 "under_age", "sex", "missing", "unreadable", "sha256"],
    )  # fmt: skip
    r = pd.read_parquet(folder / "readings.parquet", columns=["patient_key", "mri_date", "lumbar", *levels])
    s = pd.read_parquet(folder / "surgeries.parquet", columns=["patient_key", "surgery_date", "lumbar_disc"])
    withdrawn = pd.read_parquet(folder / "withdrawn.parquet").patient_key
    for frame, column in ((x, "study_date"), (r, "mri_date"), (s, "surgery_date")):
        frame[column] = pd.to_datetime(frame[column])
    x = x.sort_values(["collection", "row"], ignore_index=True)
    x["split"] = x.collection.map(ROLES)

    r = r.groupby(["patient_key", "mri_date"], as_index=False).max()
    r["labelled"] = r.lumbar & r[levels].notna().all(axis=1)
    s = s[s.lumbar_disc]

    if coded:  # one number a patient: everything after joins on it
        keys = pd.Index(x.patient_key.dropna().unique())
        for frame in (x, r, s):
            codes = pd.Series(keys.get_indexer(frame.patient_key), index=frame.index, dtype="Int64")
            frame["patient"] = codes.mask(codes < 0)
    else:
        x["patient"], r["patient"], s["patient"] = x.patient_key, r.patient_key, s.patient_key

    reason = pd.Series(pd.NA, index=x.index, dtype="string")

    def exclude(mask: pd.Series, name: str) -> None:
        reason[mask & reason.isna()] = name

    exclude(x.patient_key.isin(withdrawn), "withdrawn")
    exclude(x.missing.notna(), "missing_data")
    by_patient = x[x.patient.notna()].groupby("patient")
    births, sexes = by_patient.birth_digest.nunique(), by_patient.sex.nunique()
    conflict = pd.Index(births.index[(births > 1) | (sexes > 1)])
    images = x.loc[x.unreadable.isna() & x.patient.notna(), ["patient", "sha256"]]
    images = images[images.duplicated("sha256", keep=False)].drop_duplicates()
    shared = images.sha256[images.duplicated("sha256", keep=False)]
    exclude(x.patient.isin(conflict) | (x.sha256.isin(shared) & x.unreadable.isna()), "identity_conflict")
    exclude(x.unreadable.notna(), "unreadable_image")
    exclude(x.view.isna(), "unknown_view")
    exclude(~x.study_date.between("2010-01-01", "2021-02-28"), "outside_study_period")
    exclude(x.under_age, "under_age")
    exclude(~x.patient.isin(r.patient), "no_mri_reading")
    exclude(~x.patient.isin(r.patient[r.lumbar]), "non_lumbar_reading")
    exclude(~x.patient.isin(r.patient[r.labelled]), "unlabelled_reading")

    # each day a patient was x-rayed, with the nearest reading either side; ties go to the later
    labelled = r.loc[r.labelled & r.patient.notna(), ["patient", "mri_date"]]
    visits = x.loc[reason.isna(), ["patient", "study_date"]].drop_duplicates().sort_values("study_date")
    interval = pd.Timedelta(90, "D")
    near = labelled.assign(study_date=labelled.mri_date).sort_values("study_date")
    options = {"on": "study_date", "by": "patient", "tolerance": interval}
    later = pd.merge_asof(visits, near, direction="forward", **options).mri_date
    earlier = pd.merge_asof(visits, near, direction="backward", **options).mri_date
    to_later, to_earlier = later - visits.study_date.values, visits.study_date.values - earlier
    visits["mri_date"] = np.where(to_earlier.isna() | (to_later <= to_earlier), later, earlier)
    visits["in_interval"] = visits.mri_date.notna()

    # patients who were operated on: every pair, without those with a surgery between
    operated = visits.patient.isin(s.patient)
    pairs = visits.loc[operated, ["patient", "study_date"]].merge(labelled, on="patient")
    pairs["days"] = (pairs.mri_date - pairs.study_date).abs()
    pairs = pairs[pairs.days <= interval]
    low = pairs[["study_date", "mri_date"]].min(axis=1)
    high = pairs[["study_date", "mri_date"]].max(axis=1)
    cut = pairs.assign(low=low, high=high, pair=np.arange(len(pairs))).merge(s, on="patient")
    cut = cut[cut.surgery_date.isna() | cut.surgery_date.between(cut.low, cut.high)]
    free = pairs.drop(pairs.index[cut.pair.unique()])
    free = free.sort_values(["days", "mri_date"], ascending=[True, False]).drop_duplicates(
        ["patient", "study_date"]
    )
    served = visits.loc[operated, ["patient", "study_date", "in_interval"]].merge(
        free[["patient", "study_date", "mri_date"]], on=["patient", "study_date"], how="left"
    )
    visits = pd.concat([visits[~operated], served])

    x = x.merge(visits, on=["patient", "study_date"], how="left")
    exclude(x.in_interval.isna() | (x.in_interval == False), "outside_interval")  # noqa: E712
    exclude(x.mri_date.isna(), "surgery_between")
    left = x[reason.isna()]
    exclude(pd.Series(x.index.isin(left.index[left.duplicated(["patient", "sha256"])])), "duplicate_image")
    development = x.patient[reason.isna() & (x.split == "development")]
    exclude((x.split == "test") & x.patient.isin(development), "in_development")

    kept = x[reason.isna()].merge(r[["patient", "mri_date", *levels]], on=["patient", "mri_date"])
    kept = kept.sort_values(["collection", "row"], ignore_index=True)
    kept["hnp"] = kept[levels].max(axis=1)
    kept["interval_days"] = (kept.mri_date - kept.study_date).dt.days
    columns = ["image_id", "collection", "split", "patient_key", "hospital", "view", "sex", "age", "study_date",
               "mri_date", "interval_days", *levels, "hnp", "sha256"]  # fmt: skip
    out = folder / "pandas"
    out.mkdir(exist_ok=True)
    kept[columns].to_parquet(out / "cohort.parquet", compression="zstd", index=False)
    gone = x.loc[reason.notna(), ["image_id", "collection", "patient_key"]].assign(reason=reason)
    gone.to_parquet(out / "exclusions.parquet", compression="zstd", index=False)
    step = reason.fillna("in the cohort")
    pd.DataFrame({"split": x.split, "reason": step, "patient": x.patient}).groupby(["split", "reason"]).agg(
        images=("patient", "size"), patients=("patient", "nunique")
    ).to_parquet(out / "cohort_flow.parquet")
    return since(start)


def compare(folder: Path) -> str:
    """Whether both versions decided the same on every row."""
    import duckdb

    with duckdb.connect(config={"threads": "2", "memory_limit": "3GB", "temp_directory": str(folder)}) as db:
        differing = 0
        for table, columns in (
            ("cohort", "image_id, split, mri_date::DATE AS mri_date, l1_2, l2_3, l3_4, l4_5, l5_s1, hnp"),
            ("exclusions", "image_id, reason"),
        ):
            a, b = (f"SELECT {columns} FROM '{folder}/{who}/{table}.parquet'" for who in ("ours", "pandas"))
            for one, other in ((a, b), (b, a)):
                differing += db.sql(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))").fetchall()[0][0]
    return "verdicts agree" if not differing else f"{differing} rows DIFFER"


if __name__ == "__main__":
    main()
