"""What keeps the study up to date without anyone's click: two sensors, or a nightly schedule instead of them."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from hnp_pipeline.automation.cluster import run_tags
from hnp_pipeline.automation.orphans import clean_up
from hnp_pipeline.automation.planner import ATTEMPT, Plan, plan
from hnp_pipeline.automation.survey import known_collections, look, register
from hnp_pipeline.errors import StudyError
from hnp_pipeline.locks import BusyError, locked
from hnp_pipeline.project import Project
from resources.tracking import Tracking

Assets = Sequence[dg.AssetsDefinition | dg.AssetSpec]


def automation(
    project: Project, assets: Assets
) -> tuple[list[dg.SensorDefinition], list[dg.ScheduleDefinition]]:
    """The sensors `new_collections` and `keep_up_to_date`, and the schedule `nightly` (off by default)."""

    @dg.sensor(
        minimum_interval_seconds=project.study.compute.look_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at the raw folder; a collection that two looks in a row find unchanged is taken in.",
    )
    def new_collections(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return _take_in(project, context)

    @dg.sensor(
        asset_selection=dg.AssetSelection.all(),
        minimum_interval_seconds=project.study.compute.look_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks the planner what is out of date and can be made, and has it made.",
    )
    def keep_up_to_date(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _bring_up_to_date(project, assets, context)

    @dg.op(description="`hnp run` on this home: every step a Dagster run of its own.")
    def hnp_run(context: dg.OpExecutionContext) -> None:
        command = [
            str(Path(sys.executable).parent / "hnp"),
            "run",
            "--wait",
            "--home",
            str(project.home.root),
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                for line in process.stdout or ():
                    context.log.info(line.rstrip())
            except BaseException:  # stopped in the UI: its runs end as cancelled
                process.send_signal(signal.SIGINT)
                raise
        if process.returncode:
            raise dg.Failure(
                f"`hnp run` ended with {process.returncode}: see the log above", allow_retries=False
            )

    @dg.job(description="Take in what has arrived and bring the whole study up to date.")
    def bring_up_to_date() -> None:
        hnp_run()

    nightly = dg.ScheduleDefinition(
        name="nightly",
        job=bring_up_to_date,
        cron_schedule="0 2 * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="For sites that want no sensors: every night at two, the same as `hnp run`.",
    )
    return [new_collections, keep_up_to_date], [nightly]


def _take_in(project: Project, context: dg.SensorEvaluationContext) -> dg.SkipReason:
    if project.raw is None:
        return dg.SkipReason("no raw folder is known: run `hnp run --raw DIR` once, or set HNP_RAW")
    before = json.loads(context.cursor) if context.cursor else {}
    try:
        with locked(project.home.root / "run.lock"):
            survey = look(project.raw, known_collections(context.instance), before)
            register(survey, project.raw, project.home, context.instance)
    except BusyError as other:
        return dg.SkipReason(f"`hnp run` is at work (process {other})")
    except StudyError as error:
        return dg.SkipReason(str(error))
    context.update_cursor(json.dumps(survey.fingerprints))
    told = [f"{k}: {', '.join(v)}" for k, v in survey.told().items() if v]
    return dg.SkipReason("; ".join(told) or "nothing new")


def _bring_up_to_date(
    project: Project, assets: Assets, context: dg.SensorEvaluationContext
) -> dg.SensorResult | dg.SkipReason:
    try:
        with locked(project.home.root / "run.lock"):
            tracking = Tracking(project.home, project.study.name)
            clean_up(context.instance, context.log.info, only_command=False, ended=tracking.end_orphans)
            made = plan(assets, context.instance, failed=failed_attempts(context.instance))
    except BusyError as other:
        return dg.SkipReason(f"`hnp run` is at work (process {other})")
    requests = _requests(made, run_tags(project.study.compute))
    return dg.SensorResult(requests) if requests else dg.SkipReason("nothing to make")


def failed_attempts(instance: dg.DagsterInstance) -> set[str]:
    """Attempts whose run failed: asked for again only when their inputs change."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]), limit=500
    )
    return {r.dagster_run.tags[ATTEMPT] for r in records if ATTEMPT in r.dagster_run.tags}


def _requests(made: Plan, tags: dict[str, str]) -> list[dg.RunRequest]:
    """A run for each ready step; its key is used once, so what failed is not asked for until its inputs change."""
    return [
        dg.RunRequest(
            run_key=made.attempts[t],
            asset_selection=made.keys[t],
            partition_key=t.partition,
            tags={ATTEMPT: made.attempts[t]} | tags,
        )
        for t in made.ready
    ]
