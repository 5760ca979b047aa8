"""What lies in the raw folder: which collections are new, changed, still being copied, or gone.

What is found is told to Dagster as materialisations of two outside assets, so that everything made from a
collection knows which delivery of it was used.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from hnp_pipeline.errors import SettingsError, TableError
from hnp_pipeline.home import Home
from hnp_pipeline.intake.collection import Collection, find_collections, fingerprint, open_collection
from hnp_pipeline.tables import write_text
from hnp_pipeline.vocabulary import Split

COLLECTIONS = dg.DynamicPartitionsDefinition(name="collection")
RAW_COLLECTION = dg.AssetKey("raw_collection")
WITHDRAWALS = dg.AssetKey("withdrawals")
COLLECTIONS_THERE = dg.AssetCheckKey(RAW_COLLECTION, "collections_there")
_NOBODY = "nobody"


@dataclass
class Survey:
    """What one look at the raw folder found; names of collections."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)  # still being copied: the last version serves
    vanished: list[str] = field(default_factory=list)  # gone from the folder: the last version serves
    fingerprints: dict[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, list[str]]:
        """What a person is told, by kind."""
        return {
            "new": self.new,
            "changed": self.changed,
            "still being copied": self.unsettled,
            "gone (the last good version stays in use)": self.vanished,
        }


def look(raw: Path, known: dict[str, str], before: dict[str, str]) -> Survey:
    """One look at the raw folder.

    Args:
        raw: the folder of collections.
        known: collection → fingerprint that the study last used.
        before: collection → fingerprint at the look before this one; a collection without `_SUCCESS` is whole
            when both are the same.

    Raises:
        SettingsError: there is no such folder, or no collection in it.
    """
    found = Survey()
    for name in (c.name for c in find_collections(raw)):
        mark = found.fingerprints[name] = fingerprint(raw / name)
        if known.get(name) == mark:
            continue
        if not (raw / name / "_SUCCESS").exists() and before.get(name) != mark:
            found.unsettled.append(name)
        else:
            (found.changed if name in known else found.new).append(name)
    found.vanished = sorted(set(known) - set(found.fingerprints))
    return found


def settled_look(raw: Path, known: dict[str, str], patience: float = 60.0) -> Survey:
    """Look until two looks in a row agree, or patience (seconds) ends."""
    end = time.monotonic() + patience
    survey = look(raw, known, {})
    pause = 0.5
    while survey.unsettled and time.monotonic() < end:
        time.sleep(pause)
        survey = look(raw, known, survey.fingerprints)
        pause = min(2 * pause, 5.0)
    return survey


def known_collections(instance: dg.DagsterInstance) -> dict[str, str]:
    """Collection → fingerprint of the delivery that the study last used."""
    found = {}
    for name in instance.get_dynamic_partitions("collection"):
        where = dg.AssetRecordsFilter(RAW_COLLECTION, asset_partitions=[name])
        for record in instance.fetch_materializations(where, limit=1).records:
            made = record.asset_materialization
            found[name] = (made.tags or {}).get("dagster/data_version", "") if made else ""
    return found


def register(survey: Survey, raw: Path, home: Home, instance: dg.DagsterInstance) -> None:
    """Tell Dagster of new and changed collections and of who withdrew; fix the role of the new ones."""
    fix_roles(survey.new + survey.changed, raw, home)
    if survey.new:
        instance.add_dynamic_partitions("collection", sorted(survey.new))
    fixed = roles(home)
    for name in survey.new + survey.changed:
        role = {"role": fixed[name].value} if name in fixed else {}
        _report(instance, RAW_COLLECTION, survey.fingerprints[name], role, name)
    mark = _withdrawals_mark(raw)
    last = instance.fetch_materializations(WITHDRAWALS, limit=1).records
    made = last[0].asset_materialization if last else None
    if made is None or (made.tags or {}).get("dagster/data_version") != mark:
        _report(instance, WITHDRAWALS, mark, {"delivered": mark != _NOBODY}, None)
    _tell_vanished(survey, instance)


def still_there(survey: Survey) -> dg.AssetCheckEvaluation:
    """The verdict of the check `collections_there`."""
    gone = ", ".join(survey.vanished)
    return dg.AssetCheckEvaluation(
        COLLECTIONS_THERE.asset_key,
        COLLECTIONS_THERE.name,
        passed=not gone,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"gone, its last good version stays in use: {gone}" if gone else "all are there",
        metadata={"gone": dg.MetadataValue.json(survey.vanished)},
    )


def roles(home: Home) -> dict[str, Split]:
    """Collection → role, as fixed at first sight.

    Raises:
        SettingsError: the file that holds them is damaged.
    """
    path = home.root / "collections.json"
    try:
        return {k: Split(v) for k, v in json.loads(path.read_text("utf-8")).items()} if path.exists() else {}
    except (ValueError, AttributeError):
        raise SettingsError(
            f'{path} is damaged: bring it back from a copy, or write it anew ({{"COLLECTION": "{Split.TEST}", …}})'
        ) from None


def fix_roles(names: Iterable[str], raw: Path, home: Home) -> None:
    """Give each collection that has none its role for good: its own word, else the first by name develops, later ones test.

    A collection of labels alone develops nothing, so the first is the first that has x-rays. While a collection.toml
    cannot be read, its collection keeps the place that it would have, and has no role yet.
    """
    fixed = roles(home)
    taken = Split.DEVELOPMENT in fixed.values()
    for name in sorted(set(names) - set(fixed)):
        try:
            collection = open_collection(raw / name)
        except (TableError, OSError):  # told when its tables are read
            taken = True
            continue
        develops = (
            collection.role == Split.DEVELOPMENT if collection.role else not taken and _pictures(collection)
        )
        fixed[name] = Split.DEVELOPMENT if develops else Split.TEST
        taken = taken or develops
    write_text(json.dumps(fixed, ensure_ascii=False, indent=1), home.root / "collections.json")


def overruled(raw: Path, home: Home) -> dict[str, Split]:
    """Collections whose collection.toml now states another role than the one they have, and that one."""
    fixed = roles(home)
    return {
        c.name: fixed[c.name]
        for c in find_collections(raw)
        if c.role and c.name in fixed and fixed[c.name] != c.role
    }


def _pictures(collection: Collection) -> bool:
    try:
        return collection.table("xrays") is not None
    except TableError:  # there, but not to be used
        return True


def _withdrawals_mark(raw: Path) -> str:
    for path in sorted(raw.glob("withdrawn.*")):
        if path.suffix.lower() in {".csv", ".xlsx", ".parquet"}:
            stat = path.stat()
            return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"
    return _NOBODY


def _tell_vanished(survey: Survey, instance: dg.DagsterInstance) -> None:
    """Report the check, where its verdict is another than the last time."""
    verdict = still_there(survey)
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key([COLLECTIONS_THERE])
    event = last[COLLECTIONS_THERE].event if COLLECTIONS_THERE in last else None
    told = event.dagster_event.asset_check_evaluation_data if event and event.dagster_event else None
    if told is None or (told.passed, told.description) != (verdict.passed, verdict.description):
        instance.report_runless_asset_event(verdict)


def _report(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    version: str,
    metadata: Mapping[str, str | bool],
    partition: str | None,
) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            key, partition=partition, metadata=metadata, tags={"dagster/data_version": version}
        )
    )
