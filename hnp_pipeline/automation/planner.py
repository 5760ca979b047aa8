"""What is out of date, and what of it can be made now: recorded input versions held against today's.

Dagster records with each materialisation the data versions of its inputs and its code version. An asset is out
of date when one of them is another today. That is the rule behind the stale badge in Dagster's UI too; this
module adds the order, and what to do about steps that fail. It only reads, through the instance.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import NamedTuple

import dagster as dg

ATTEMPT = "hnp/attempt"  # run tag: what was to be made, of what, in place of what
TOLERATES = (
    "hnp/tolerates"  # asset metadata: inputs whose failed parts do not stop it (their last good ones serve)
)
GATHERS = "hnp/gathers"  # asset metadata: made of whatever inputs there are, if the others are not asked for

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_MISSING = "INITIAL"  # what Dagster records for an input that has never been made


class Target(NamedTuple):
    """One step, or one partition of one. A step that makes several assets is known by its first."""

    key: dg.AssetKey
    partition: str | None = None

    @property
    def name(self) -> str:
        """As a person reads it: `level/fold_model[2]`."""
        return self.key.to_user_string() + (f"[{self.partition}]" if self.partition is not None else "")


class State(StrEnum):
    """Where a target stands."""

    FRESH = "fresh"
    READY = "ready"  # out of date, and all it needs is up to date
    RUNNING = "running"
    BLOCKED = "blocked"  # something it needs is not up to date yet
    FAILED = "failed"  # out of date, and the attempt with today's inputs failed
    STUCK = "stuck"  # something it needs failed


@dataclass(frozen=True)
class Plan:
    """The state of every target in the order in which they are made, why it is not fresh, and its attempt's name."""

    states: dict[Target, State] = field(default_factory=dict)
    reasons: dict[Target, list[str]] = field(default_factory=dict)
    attempts: dict[Target, str] = field(default_factory=dict)  # the same until inputs or result change
    keys: dict[Target, list[dg.AssetKey]] = field(default_factory=dict)  # all that the step makes

    def all(self, *states: State) -> list[Target]:
        """The targets in any of these states, in order."""
        return [t for t, s in self.states.items() if s in states]

    @property
    def ready(self) -> list[Target]:
        """What can be made now."""
        return self.all(State.READY)


def plan(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec],
    instance: dg.DagsterInstance,
    *,
    failed: Collection[str] = (),
    within: Collection[dg.AssetKey] | None = None,
) -> Plan:
    """Hold what Dagster recorded against today's versions.

    Args:
        assets: every asset of the study; a bare `AssetSpec` is what comes from outside.
        instance: where they were materialised.
        failed: attempts that are known to have failed; they are not ready again until their inputs change.
        within: only these assets are wanted (none: all). Others keep their last version.
    """
    order = [s for s in _in_order(assets) if within is None or s.keys & set(within)]
    by_key = {key: step for step in order for key in step.keys}
    partitions_of = {spec.key: spec.partitions_def for a in assets for spec in _specs(a)}
    running = set(_in_flight(instance))
    result = Plan()

    @cache
    def partitions(key: dg.AssetKey) -> list[str] | None:
        definition = partitions_of.get(key)
        return (
            None
            if definition is None
            else sorted(definition.get_partition_keys(dynamic_partitions_store=instance))
        )

    @cache
    def latest(key: dg.AssetKey, partition: str | None) -> tuple[int, Mapping[str, str]] | None:
        where = key if partition is None else dg.AssetRecordsFilter(key, asset_partitions=[partition])
        for record in instance.fetch_materializations(where, limit=1).records:
            made = record.asset_materialization
            return record.storage_id, dict(made.tags or {}) if made else {}
        return None

    def version(key: dg.AssetKey, of: list[str] | None) -> str:
        """Of an input, as Dagster records it: a partitioned one's is the hash of its partitions' versions joined."""
        if of is None:
            made = latest(key, None)
            return made[1].get("dagster/data_version", _MISSING) if made else _MISSING
        found = [m[1].get("dagster/data_version", _MISSING) for m in (latest(key, p) for p in of) if m]
        if not found and not any(latest(key, p) for p in partitions(key) or []):
            return _MISSING
        return hashlib.sha256("".join(found).encode()).hexdigest()

    for step in order:
        head = _head(step)
        spec = step.specs_by_key[head]
        tolerated = set(spec.metadata.get(TOLERATES, ()))
        gathers = bool(spec.metadata.get(GATHERS))
        parts = partitions(head)
        each: Sequence[str | None] = [None] if parts is None else parts
        for partition in each:
            target = Target(head, partition)
            inputs: dict[dg.AssetKey, list[str] | None] = {}
            for dep in sorted(
                {d.asset_key for k in step.keys for d in step.specs_by_key[k].deps} - step.keys
            ):
                of = partitions(dep)
                same = (
                    of is not None and partition is not None and partitions_of.get(dep) == step.partitions_def
                )
                inputs[dep] = [partition] if same and partition is not None else of

            now = {
                "code": spec.code_version or "",
                **{d.to_user_string(): version(d, of) for d, of in inputs.items()},
            }
            made = {key: latest(key, partition) for key in step.keys}
            why = sorted({w for key in step.keys for w in _differences(made[key], now, inputs)})
            bad = _failed_checks(step, made, instance) if not why else []
            why += bad
            digest = hashlib.sha256(repr(sorted(now.items())).encode()).hexdigest()[:16]
            last = max((m[0] for m in made.values() if m), default=0)
            if bad:  # what was made stands for the attempt: making the same again is no new one
                versions = sorted(m[1].get("dagster/data_version", "") for m in made.values() if m)
                attempt = f"{target.name}:{digest}:{'+'.join(versions)} failed its checks"
            else:
                attempt = f"{target.name}:{digest}:{last}"

            needed = [
                (dep, Target(_head(by_key[dep]), p))
                for dep, of in inputs.items()
                if dep in by_key
                for p in _each(of)
            ]
            if gathers and within is not None:
                needed = [(d, t) for d, t in needed if t in result.states]
            unsettled = [
                result.states.get(t, State.BLOCKED)
                for d, t in needed
                if result.states.get(t) != State.FRESH
                and not (
                    d.to_user_string() in tolerated and result.states.get(t) in (State.FAILED, State.STUCK)
                )
            ]
            if target in running:
                state = State.RUNNING
            elif unsettled:
                state = State.STUCK if set(unsettled) <= {State.FAILED, State.STUCK} else State.BLOCKED
            elif why:
                state = State.FAILED if attempt in failed else State.READY
            else:
                state = State.FRESH
            result.states[target] = state
            result.reasons[target] = why
            result.attempts[target] = attempt
            result.keys[target] = sorted(step.keys)
    return result


def upstream_of(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec], goals: Collection[dg.AssetKey]
) -> set[dg.AssetKey]:
    """The assets `goals` and all that they are made of, as far as the study makes it.

    An asset that gathers what there is asks for nothing itself.
    """
    by_key = {key: step for step in _steps(assets) for key in step.keys}
    found: set[dg.AssetKey] = set()
    todo = list(goals)
    while todo:
        key = todo.pop()
        if key in by_key and key not in found:
            found |= by_key[key].keys
            if by_key[key].specs_by_key[key].metadata.get(GATHERS):
                continue
            todo += [d.asset_key for k in by_key[key].keys for d in by_key[key].specs_by_key[k].deps]
    return found


def in_flight(instance: dg.DagsterInstance) -> bool:
    """Whether any run is queued or at work."""
    return bool(instance.get_run_records(dg.RunsFilter(statuses=IN_FLIGHT), limit=1))


def _each(partitions: list[str] | None) -> Sequence[str | None]:
    """An input's parts; one that has no partitions yet stands for itself, and holds up what needs it."""
    return partitions or [None]


def _head(step: dg.AssetsDefinition) -> dg.AssetKey:
    return min(step.keys)


def _specs(asset: dg.AssetsDefinition | dg.AssetSpec) -> list[dg.AssetSpec]:
    return [asset] if isinstance(asset, dg.AssetSpec) else list(asset.specs)


def _steps(assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]) -> list[dg.AssetsDefinition]:
    return [a for a in assets if isinstance(a, dg.AssetsDefinition)]


def _in_order(assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]) -> Iterator[dg.AssetsDefinition]:
    """The steps, each after all it needs."""
    by_key = {key: step for step in _steps(assets) for key in step.keys}
    seen: set[dg.AssetKey] = set()

    def visit(key: dg.AssetKey) -> Iterator[dg.AssetsDefinition]:
        step = by_key.get(key)
        if step is None or key in seen:
            return
        seen.update(step.keys)
        for spec in step.specs:
            for dep in spec.deps:
                yield from visit(dep.asset_key)
        yield step

    for key in by_key:
        yield from visit(key)


def _in_flight(instance: dg.DagsterInstance) -> Iterator[Target]:
    for record in instance.get_run_records(dg.RunsFilter(statuses=IN_FLIGHT)):
        run = record.dagster_run
        for key in run.asset_selection or _planned(instance, run.run_id):
            yield Target(key, run.tags.get("dagster/partition"))


def _planned(instance: dg.DagsterInstance, run_id: str) -> set[dg.AssetKey]:
    """What a run of a whole job will make: such a run carries no selection."""
    planned = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    events = (entry.dagster_event for entry in planned)
    return {event.asset_key for event in events if event and event.asset_key}


def _differences(
    made: tuple[int, Mapping[str, str]] | None, now: Mapping[str, str], inputs: Collection[dg.AssetKey]
) -> list[str]:
    """Why the last materialisation no longer holds."""
    if made is None:
        return ["never made"]
    tags = made[1]
    then = {"code": tags.get("dagster/code_version", "")} | {
        d.to_user_string(): tags.get(f"dagster/input_data_version/{d.to_user_string()}", "") for d in inputs
    }
    titles = {"code": "settings or code changed"}
    return [titles.get(k, f"{k} changed") for k in now if now[k] != then[k]]


def _failed_checks(
    step: dg.AssetsDefinition,
    made: Mapping[dg.AssetKey, tuple[int, Mapping[str, str]] | None],
    instance: dg.DagsterInstance,
) -> list[str]:
    """Blocking checks that failed on the last materialisation: what it made must not flow on."""
    blocking = [spec.key for spec in step.check_specs if spec.blocking]
    if not blocking:
        return []
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

    bad = []
    for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(blocking).items():
        last = made[key.asset_key]
        if last and record.status == AssetCheckExecutionRecordStatus.FAILED and record.event:
            evaluated = (
                record.event.dagster_event.asset_check_evaluation_data if record.event.dagster_event else None
            )
            target = evaluated.target_materialization_data if evaluated else None
            if (
                evaluated
                and evaluated.severity == dg.AssetCheckSeverity.ERROR
                and target
                and target.storage_id == last[0]
            ):
                bad.append(f"check {key.name} failed")
    return bad
