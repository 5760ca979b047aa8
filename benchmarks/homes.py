"""Two homes held against each other, and one home looked at: is it up to date, is anything left of a killed run?

What two runs of one study may differ in, and nothing else: run ids and addresses of Dagster and MLflow, times and
durations, the number of a registered model's version, the folder that the home lies in.
"""

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import yaml

from hnp_pipeline.automation.planner import IN_FLIGHT, Target, in_flight, plan
from hnp_pipeline.automation.sensors import failed_attempts
from hnp_pipeline.home import Home
from hnp_pipeline.imaging.store import ImageCache
from hnp_pipeline.study import Imaging
from hnp_pipeline.tables import content_hash_of
from hnp_pipeline.training.inference import load_model

_SERVICES = {"dagster", "mlflow", "logs", "scratch"}
_TIMES = {"seconds"}  # of model.json, of an epoch in its history too


def differences(one: Path, other: Path) -> list[str]:
    """What two homes differ in, by file, table or MLflow run; none when they hold the same."""
    a, b = content(one), content(other)
    return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


def is_fresh(instance: dg.DagsterInstance, assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]) -> bool:
    """Nothing is out of date, and nothing runs."""
    if in_flight(instance):
        return False
    made = plan(assets, instance, failed=failed_attempts(instance))
    return bool(made.states) and not any(made.reasons.values())


def content(root: Path) -> dict[str, object]:
    """Everything that a home holds, as what must be equal in two of them."""
    home, found = Home(root), {}
    for path in _files(root):
        name = path.relative_to(root).as_posix()
        if path.name.endswith(".lock") or path.suffix == ".u8" or name in ("study.yaml", "hnp.duckdb"):
            continue
        if path.suffix == ".parquet" and path.parent.parent.parent.name != "cache":
            found[name] = content_hash_of(path)
        elif path.suffix != ".parquet":
            text = path.read_bytes()
            if path.name == "model.json":
                text = json.dumps(_timeless(json.loads(text))).encode()
            elif path == home.report:
                text = _report(text.decode(), root).encode()
            found[name] = hashlib.sha256(text).hexdigest()
    for folder in sorted(home.cache("").glob("*/*/index.parquet")):  # rows may lie in another order
        cache = _cache(folder.parent)
        keys = sorted(pq.read_table(folder)["sha256"].to_pylist())
        pixels = cache.images[cache.position(keys)].tobytes()
        found[folder.parent.relative_to(root).as_posix()] = (keys, hashlib.sha256(pixels).hexdigest())
    with duckdb.connect(str(home.database), read_only=True) as db:
        for (table,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            rows = db.execute(f"SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM {table} t").fetchone()
            found[f"hnp.duckdb {table}"] = rows
    return found | _tracked(home)


def unsound(root: Path) -> list[str]:
    """Files under their final names that cannot be read whole, each with why."""
    home, wrong = Home(root), []

    def look(path: Path, read) -> None:
        try:
            read()
        except Exception as error:
            wrong.append(f"{path.relative_to(root)}: {type(error).__name__} {error}")

    for path in _files(root):
        if path.name.startswith("."):
            continue
        if path.suffix == ".parquet":
            look(path, lambda p=path: content_hash_of(p))
        elif path.suffix == ".json":
            look(path, lambda p=path: json.loads(p.read_text("utf-8")))
        elif path.suffix in (".png", ".jpg"):
            look(path, lambda p=path: _whole_picture(p))
    for path in root.glob("models/*/*/model.json"):
        look(path, lambda p=path: load_model(p.parent))
    for path in root.glob("cache/*/*/index.parquet"):
        look(path, lambda p=path: _sound_cache(p.parent))
    if home.database.exists():
        look(home.database, lambda: duckdb.connect(str(home.database), read_only=True).close())
    if home.report.exists():
        look(home.report, lambda: home.report.read_text("utf-8").rindex("</html>"))
    return wrong


def hanging(root: Path) -> list[str]:
    """What looks as if it were at work, or half made, on a home where nothing is."""
    found = [
        f"half made: {p.relative_to(root)}" for p in _files(root, _SERVICES - {"scratch"}) if _half_made(p)
    ]
    found += [f"half made: {p.relative_to(root)}" for p in root.glob("scratch/.*")]
    with dg.DagsterInstance.from_config(str(root / "dagster")) as instance:
        runs = instance.get_run_records(dg.RunsFilter(statuses=IN_FLIGHT))
        found += [f"Dagster run {r.dagster_run.run_id} {r.dagster_run.status.value}" for r in runs]
        slots = instance.event_log_storage.get_concurrency_run_ids()
        found += [f"pool slot of {run_id}" for run_id in slots]
    if (tracked := root / "mlflow" / "mlflow.db").exists():
        with closing(sqlite3.connect(tracked)) as db:
            running = db.execute("SELECT name FROM runs WHERE status = 'RUNNING'")
            found += [f"MLflow run {name} RUNNING" for (name,) in running]
    return found


def durations(root: Path) -> dict[str, float]:
    """The steps in the order in which they were made, as `level/fold_model[2]`, and the seconds that each took."""
    found = {}
    with dg.DagsterInstance.from_config(str(root / "dagster")) as instance:
        for record in reversed(instance.get_run_records()):
            run = record.dagster_run
            target = Target(min(run.asset_selection or ()), run.tags.get("dagster/partition"))
            found[target.name] = (record.end_time or 0.0) - (record.start_time or 0.0)
    return found


def _files(root: Path, without: set[str] = _SERVICES):
    for folder, below, files in os.walk(root):
        if Path(folder) == root:
            below[:] = sorted(set(below) - without)
        yield from (Path(folder) / name for name in sorted(files))


def _half_made(path: Path) -> bool:
    made = any(".tmp" in part or part.endswith((".new", ".old", ".unsorted")) for part in path.parts[-2:])
    return made or path.name in ("checkpoint.safetensors", "progress.parquet")


def _timeless(value):
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in _TIMES}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def _report(html: str, root: Path) -> str:
    html = html.replace(str(root), "HOME")
    html = re.sub(r"\d{1,2} \w+ \d{4}, \d\d:\d\d UTC", "TIME", html)
    html = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\+00:00| UTC)?", "TIME", html)
    return re.sub(r"experiments/\d+/runs/[0-9a-f]{32}", "RUN", html)


def _cache(folder: Path) -> ImageCache:
    settings = Imaging.model_validate(yaml.safe_load((folder / "settings.yaml").read_text("utf-8")))
    return ImageCache.open(folder.parent, settings)


def _sound_cache(folder: Path) -> None:
    from hnp_pipeline.imaging.writer import CacheWriter

    index = pq.read_table(folder / "index.parquet")
    probe = CacheWriter.__new__(CacheWriter)  # only to read: making one would mend it
    probe.folder, probe.done = folder, index
    if probe.bad_rows().any():
        raise ValueError("pixels do not have their checksums")


def _whole_picture(path: Path) -> None:
    import cv2

    if cv2.imread(str(path)) is None:
        raise ValueError("no picture")


def _tracked(home: Home) -> dict[str, object]:
    """What MLflow holds: of each run its tags that say what it is, status, parameters and figures, but for durations."""
    with closing(sqlite3.connect(home.mlflow / "mlflow.db")) as db:
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in db.execute(
            "SELECT run_uuid, key, value FROM tags WHERE key LIKE 'hnp.%' AND key NOT IN ('hnp.code', 'hnp.git')"
        ):
            tags.setdefault(run, {})[key] = value
        names = {run: "MLflow " + " ".join(v for _, v in sorted(t.items())) for run, t in tags.items()}
        found: dict[str, object] = {}
        for run, status in db.execute("SELECT run_uuid, status FROM runs"):
            params = sorted(db.execute("SELECT key, value FROM params WHERE run_uuid = ?", [run]))
            figures = sorted(
                {
                    row
                    for row in db.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", [run])
                    if not re.match(r"system/|.*seconds|data_share|new$|kept$", row[0])
                }
            )
            found[names.get(run, f"MLflow, unnamed: {run}")] = (status, params, figures)
        pending = "SELECT count(*) FROM logged_models WHERE status <> 2 AND lifecycle_stage = 'active'"
        return found | {"MLflow models not ready": db.execute(pending).fetchone()}
