"""The planner against real materialisations, and against the resolver behind the UI's stale badge."""

import json
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.loader import LoadingContextForTest

from hnp_pipeline.automation.planner import GATHERS, TOLERATES, State, Target, plan, upstream_of

COLLECTIONS = dg.DynamicPartitionsDefinition(name="collection")
FOLDS = dg.StaticPartitionsDefinition(["0", "1"])
RAW = dg.AssetSpec("raw_collection", partitions_def=COLLECTIONS)


class Toy:
    """A graph of the study's shape: what each asset makes, and whether it fails, stands in a file."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.file, self.instance = folder / "world.json", instance
        self.world = {"code": "1", "a": "1", "b": "1", "fails": [], "cohort_check": True}
        self.save()

    def save(self, **changes) -> None:
        self.world |= changes
        self.file.write_text(json.dumps(self.world))

    @property
    def assets(self):
        file = self.file

        def step(context, content) -> dg.MaterializeResult:
            world = json.loads(file.read_text())
            name = context.asset_key.to_user_string() + (
                context.partition_key if context.has_partition_key else ""
            )
            if name in world["fails"]:
                raise dg.Failure("told to")
            return dg.MaterializeResult(data_version=dg.DataVersion(str(content(world))))

        @dg.asset(partitions_def=COLLECTIONS, deps=["raw_collection"], code_version="1")
        def radiographs(context):
            return step(context, lambda w: w[context.partition_key])

        @dg.asset(partitions_def=COLLECTIONS, deps=[radiographs], code_version="1")
        def cache(context):
            return step(context, lambda w: "pixels of " + w[context.partition_key])

        spec = {"deps": [radiographs], "code_version": "1", "metadata": {TOLERATES: ["radiographs"]}}

        @dg.multi_asset(
            name="cohort",
            specs=[dg.AssetSpec("cohort", **spec), dg.AssetSpec("exclusions", **spec)],
            check_specs=[dg.AssetCheckSpec("sound", asset="cohort", blocking=True)],
        )
        def cohort():
            world = json.loads(file.read_text())
            yield dg.MaterializeResult(
                asset_key="cohort",
                data_version=dg.DataVersion(world["a"] + world["b"]),
                check_results=[
                    dg.AssetCheckResult(passed=world["cohort_check"], check_name="sound", asset_key="cohort")
                ],
            )
            yield dg.MaterializeResult(asset_key="exclusions", data_version=dg.DataVersion("x"))

        @dg.asset(deps=["cohort", cache], code_version="1", metadata={TOLERATES: ["cache"]})
        def development_set(context):
            return step(context, lambda w: w["a"])

        @dg.asset(partitions_def=FOLDS, deps=[development_set], code_version=self.world["code"])
        def fold_model(context):
            return step(context, lambda w: w["a"] + w["code"] + context.partition_key)

        @dg.asset(deps=[fold_model, "cohort"], code_version="1")
        def evaluation(context):
            return step(context, lambda w: w["a"] + w["b"] + w["code"])

        @dg.asset(
            deps=["cohort", "exclusions", evaluation],
            code_version="1",
            metadata={GATHERS: True, TOLERATES: ["radiographs"]},
        )
        def warehouse(context):
            return step(context, lambda w: json.dumps(w))

        return [RAW, radiographs, cache, cohort, development_set, fold_model, evaluation, warehouse]

    def deliver(self, name: str, content: str) -> None:
        self.save(**{name: content})
        self.instance.add_dynamic_partitions("collection", [name])
        event = dg.AssetMaterialization(
            "raw_collection", partition=name, tags={"dagster/data_version": content}
        )
        self.instance.report_runless_asset_event(event)

    def make(self, target: Target, made) -> bool:
        job = dg.Definitions(
            self.assets, executor=dg.in_process_executor
        ).resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            asset_selection=made.keys[target],
            partition_key=target.partition,
            instance=self.instance,
            raise_on_error=False,
        ).success

    def bring_up_to_date(self, within=None) -> list[str]:
        failed, done = set(), []
        while True:
            made = plan(self.assets, self.instance, failed=failed, within=within)
            if not made.ready:
                return done
            for target in made.ready:
                done.append(target.name)
                if not self.make(target, made):
                    failed.add(made.attempts[target])

    def agrees(self) -> None:
        """The plan and the UI's badge say the same of every target."""
        graph = dg.Definitions(self.assets).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        made = plan(self.assets, self.instance)
        for target, why in made.reasons.items():
            shown = resolver.get_status(target.key, target.partition)
            assert (shown == StaleStatus.FRESH) == (not why), (target.name, shown, why)


@pytest.fixture
def toy(tmp_path):
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        yield Toy(tmp_path, instance)


@pytest.fixture
def whole(toy):
    """Two collections, everything made."""
    toy.deliver("a", "1")
    toy.deliver("b", "1")
    toy.agrees()
    toy.bring_up_to_date()
    return toy


def test_first_time_everything_is_made_once_in_order(toy):
    toy.deliver("a", "1")
    done = toy.bring_up_to_date()
    assert done == [
        "radiographs[a]", "cache[a]", "cohort", "development_set", "fold_model[0]", "fold_model[1]", "evaluation", "warehouse",
    ]  # fmt: skip
    toy.agrees()


def test_nothing_changed_nothing_made(whole):
    assert whole.bring_up_to_date() == []
    whole.agrees()


def test_new_collection_trains_nothing(whole):
    whole.deliver("c", "1")
    whole.agrees()
    done = whole.bring_up_to_date()
    assert done[:2] == ["radiographs[c]", "cache[c]"]
    assert not any("fold_model" in d for d in done)


def test_later_collection_changed_trains_nothing(whole):
    whole.deliver("b", "2")
    done = whole.bring_up_to_date()
    assert "evaluation" in done
    assert not any("fold_model" in d for d in done)
    whole.agrees()


def test_development_content_changed_trains_every_fold_once(whole):
    whole.deliver("a", "2")
    done = whole.bring_up_to_date()
    assert [d for d in done if "fold_model" in d] == ["fold_model[0]", "fold_model[1]"]
    whole.agrees()


def test_changed_code_or_settings_train(whole):
    whole.save(code="2")
    whole.agrees()
    assert whole.bring_up_to_date() == ["fold_model[0]", "fold_model[1]", "evaluation", "warehouse"]


def test_a_failing_fold_holds_up_its_ensemble_and_is_repaired_alone(whole):
    whole.save(code="2", fails=["fold_model1"])
    assert whole.bring_up_to_date() == ["fold_model[0]", "fold_model[1]"]
    made = plan(
        whole.assets,
        whole.instance,
        failed={plan(whole.assets, whole.instance).attempts[_key("fold_model", "1")]},
    )
    assert made.states[_key("fold_model", "1")] == State.FAILED
    assert made.states[_key("evaluation")] == State.STUCK
    whole.save(fails=[])
    assert whole.bring_up_to_date() == ["fold_model[1]", "evaluation", "warehouse"]


def test_a_broken_collection_keeps_its_last_version_and_others_go_on(whole):
    whole.save(fails=["radiographsb"])
    whole.deliver("b", "broken")
    whole.deliver("c", "1")
    done = whole.bring_up_to_date()
    assert "cohort" in done and "warehouse" in done and "cache[c]" in done
    assert "cache[b]" not in done
    assert (
        plan(whole.assets, whole.instance).states[_key("radiographs", "b")] == State.READY
    )  # shows as stale


def test_a_failed_blocking_check_stops_what_would_flow_on(whole):
    whole.save(cohort_check=False)
    whole.deliver("a", "2")
    done = whole.bring_up_to_date()
    assert "cohort" in done and "development_set" not in done
    whole.save(cohort_check=True)
    assert "development_set" in whole.bring_up_to_date()


def test_within_a_stage_the_gathering_asset_takes_what_there_is(toy):
    toy.deliver("a", "1")
    within = upstream_of(toy.assets, {dg.AssetKey("cohort"), dg.AssetKey("warehouse")})
    assert toy.bring_up_to_date(within) == ["radiographs[a]", "cohort", "warehouse"]
    assert toy.bring_up_to_date(within) == []
    assert toy.bring_up_to_date()[-1] == "warehouse"  # now of everything


def test_a_run_in_flight_is_waited_for(whole):
    whole.save(code="2")
    run = dg.Definitions(whole.assets).resolve_implicit_global_asset_job_def()
    whole.instance.create_run_for_job(
        run,
        status=dg.DagsterRunStatus.STARTED,
        asset_selection={dg.AssetKey("fold_model")},
        tags={"dagster/partition": "0"},
    )
    states = plan(whole.assets, whole.instance).states
    assert states[_key("fold_model", "0")] == State.RUNNING
    assert states[_key("fold_model", "1")] == State.READY
    assert states[_key("evaluation")] == State.BLOCKED


def _key(name: str, partition: str | None = None) -> Target:
    return Target(dg.AssetKey(name), partition)


def test_a_run_of_a_whole_job_counts_as_running_though_it_carries_no_selection(tmp_path):
    @dg.asset
    def thing(): ...

    job = dg.define_asset_job("by_hand", dg.AssetSelection.assets(thing))
    defs = dg.Definitions([thing], jobs=[job])
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        run = instance.create_run_for_job(defs.resolve_job_def("by_hand"), status=dg.DagsterRunStatus.STARTED)
        assert run.asset_selection is None
        instance.report_dagster_event(
            dg.DagsterEvent(
                dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
                "by_hand",
                event_specific_data=AssetMaterializationPlannedData(thing.key),
            ),
            run.run_id,
        )
        assert plan([thing], instance).all(State.RUNNING) == [Target(thing.key)]
