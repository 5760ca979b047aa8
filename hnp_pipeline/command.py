"""What `hnp run` and `hnp ui` do: prepare the home, survey the raw folder, make, tell."""

import os
import shutil
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hnp_pipeline import disk
from hnp_pipeline.errors import SettingsError
from hnp_pipeline.home import Home
from hnp_pipeline.locks import BusyError, locked
from hnp_pipeline.progress import duration
from hnp_pipeline.project import Project, remember, resolve
from hnp_pipeline.results import results
from hnp_pipeline.tables import writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hnp_pipeline.automation.runner import Outcome
    from hnp_pipeline.automation.survey import Survey

_REPOSITORY = Path(__file__).resolve().parent.parent
_A_LOOK = 5.0  # seconds for which a sensor of `hnp ui` may hold a home's lock


def run(home: Path | None, raw: Path | None, profile: str | None, until: str, wait: bool) -> int:
    """`hnp run`: see design 11."""
    from hnp_pipeline.intake.collection import find_collections

    started = time.monotonic()
    project = resolve(os.environ, home=home, raw=raw, profile=profile)
    if project.raw is None:
        raise SettingsError("no raw folder: give --raw DIR (or set HNP_RAW)")
    find_collections(project.raw)  # wrong folders are told before anything is made

    # Dagster's beta notices are its developers' business.
    warnings.filterwarnings("ignore", category=Warning, module="dagster.*")
    prepare(project.home)
    try:
        with writing(project.home.root), locked(project.home.root / "run.lock", wait=wait, patience=_A_LOOK):
            with locked(project.home.root / "children.lock", wait=True):
                pass  # a killed command's last run is gone too
            remember(project)
            return _run(project, until, started)
    except BusyError as other:
        print(
            f"hnp: another run is at work on {project.home.root} (process {other}); --wait waits for it",
            file=sys.stderr,
        )
        return 1


def _run(project: Project, until: str, started: float) -> int:
    import dagster as dg

    from hnp_pipeline.automation.jobs import goals
    from hnp_pipeline.automation.orphans import cancel_forgotten, clean_up
    from hnp_pipeline.automation.planner import in_flight
    from hnp_pipeline.automation.room import Cluster, Machine
    from hnp_pipeline.automation.runner import bring_up_to_date
    from hnp_pipeline.automation.survey import known_collections, overruled, register, settled_look
    from hnp_pipeline.automation.worker import SERVER
    from hnp_pipeline.definitions import study_assets
    from hnp_pipeline.leftovers import sweep
    from resources.tracking import Tracking

    assert project.raw is not None
    compute = project.study.compute
    tracking = Tracking(project.home, project.study.name)
    room = Cluster(compute) if compute.executor == "ray" else Machine(compute.jobs)
    SERVER.set_forkserver_preload(room.preload)

    def say(line: str) -> None:
        print(f"{duration(time.monotonic() - started):>9}  {line}", flush=True)

    with _quiet(), dg.DagsterInstance.get() as instance:
        clean_up(instance, say, only_command=True, ended=tracking.end_orphans)
        cancel_forgotten(instance, say)
        if not in_flight(instance):
            tracking.end_all()
            if left := sweep(project.home):
                say(f"{len(left)} files that killed runs left half made: removed")
        survey = settled_look(project.raw, known_collections(instance))
        register(survey, project.raw, project.home, instance)
        for kind, names in survey.told().items():
            if names:
                say(f"collections {kind}: {', '.join(names)}")
        for name, role in overruled(project.raw, project.home).items():
            say(f"warning: collection {name} stays {role}: its role was fixed when it was first seen")
        wanted = goals(project.study, until)
        outcome = bring_up_to_date(
            project.home,
            study_assets(project),
            instance,
            wanted,
            room,
            say,
            tracking.end_orphans,
        )
        if not in_flight(instance):
            tracking.end_all()  # the task's run, where its folds failed
    return _conclude(project, outcome, survey, time.monotonic() - started)


def _conclude(project: Project, outcome: "Outcome", survey: "Survey", seconds: float) -> int:
    home = project.home
    if outcome.interrupted:
        print("stopped; the next run goes on from here")
        return 130
    if outcome.made:
        print(f"\n{len(outcome.made)} steps made, {outcome.fresh} up to date, {duration(seconds)}")
    elif outcome.success:
        print(f"nothing to do: all {outcome.fresh} steps are up to date ({seconds:.1f} s)")
    by_reason: dict[str, list[str]] = {}  # a table that stops its collection is told once
    for target, reason in outcome.failed:
        by_reason.setdefault(reason, []).append(target.name)
    for reason, names in by_reason.items():
        print(f"failed: {', '.join(names)}: {reason}")
    if outcome.held_up:
        print(f"held up by that: {', '.join(t.name for t in outcome.held_up)}")
    for name in survey.vanished:
        print(f"failed: the collection {name} is gone from {project.raw}; its last good version stays in use")
    for name in survey.unsettled:
        print(f"waiting: the collection {name} is still being copied; run again when it is whole")
    if outcome.made:
        print(results(home))
    print(_where(home))
    return 0 if outcome.success and not survey.vanished else 1


def _where(home: Home) -> str:
    lines = [
        f"tables      {home.root / 'tables'}  ({home.database.name} beside it, to query)",
        f"report      {home.report}" if home.report.exists() else "",
        f"Dagster UI  hnp ui --home {home.root}   then http://127.0.0.1:3000",
        "MLflow UI   the same command             then http://127.0.0.1:5000",
    ]
    return "\n".join(line for line in lines if line)


def ui(home: Path | None, host: str, port: int, mlflow_port: int, report_port: int) -> int:
    """`hnp ui`: Dagster's webserver and daemon, the MLflow server, and the report, until Ctrl-C."""
    project = resolve(os.environ, home=home)
    prepare(project.home)
    if not project.home.settings.exists():
        remember(project)
    from hnp_pipeline.automation.servers import serve
    from resources.tracking import Tracking

    tracking = Tracking(project.home, project.study.name, f"http://{host}:{mlflow_port}")
    runs = tracking.shown(f"experiments/{tracking.experiment_id}")  # makes the database that the server wants
    programs = Path(sys.executable).parent
    workspace = ["-w", str(_REPOSITORY / "workspace.yaml")]
    commands: dict[str, list[str | Path]] = {
        "Dagster UI": [programs / "dagster-webserver", *workspace, "-h", host, "-p", str(port)],
        "Dagster daemon": [programs / "dagster-daemon", "run", *workspace],
        "MLflow UI": [
            *(programs / "mlflow", "server", "--host", host, "--port", str(mlflow_port), "--workers", "1"),
            *("--backend-store-uri", tracking.store, "--registry-store-uri", tracking.store),
            *("--artifacts-destination", str(tracking.artifacts)),
        ],
        "Report": [
            *(sys.executable, "-m", "http.server", str(report_port), "--bind", host),
            *("--directory", str(project.home.report.parent)),  # and nothing else of the home
        ],
    }
    project.home.logs.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes of 240 MB that nothing here needs
        "PYTHONWARNINGS": "ignore",
    }
    return serve(
        commands,
        project.home.logs,
        environment,
        lambda: print(
            f"Dagster UI  http://{host}:{port}\nMLflow UI   {runs}\n"
            f"Report      http://{host}:{report_port}\nCtrl-C ends all",
            flush=True,
        ),
    )


def prepare(home: Home) -> None:
    """Make the home, for its owner alone, with Dagster's settings in it; DAGSTER_HOME names it from here on.

    Raises:
        SettingsError: the home cannot be made.
    """
    try:
        home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.dagster.mkdir(exist_ok=True, mode=0o700)
        target, source = home.dagster / "dagster.yaml", _REPOSITORY / "dagster.yaml"
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)
    except OSError as error:
        told = disk.told(error, home.root) or f"the home {home.root} cannot be used: {error.strerror}"
        raise SettingsError(told) from None
    if open_to := exposed(home):
        print(f"warning: {open_to}", file=sys.stderr)
    # Threads that spin while they wait take the core from those that work, when two steps run side by side.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What is started from here imports nothing from the folder that one stands in, which may hold a `click.py`.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    os.environ |= {
        "HNP_HOME": str(home.root),
        "DAGSTER_HOME": str(home.dagster),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    for variable in ("HNP_PROFILE", "HNP_RAW", "HNP_EXECUTOR", "RAY_API_SERVER_ADDRESS"):
        os.environ.pop(variable, None)  # study.yaml says it from here on


def exposed(home: Home) -> str | None:
    """Who else can look into the home, and what to do; None where it is its owner's alone."""
    status = home.root.stat()
    if status.st_uid != os.getuid():
        return f"the home {home.root} belongs to another user, who can read all that is written there"
    if status.st_mode & 0o077:
        return f"the home {home.root} is open to other users of this machine: chmod 700 {home.root}"
    return None


@contextmanager
def _quiet() -> "Iterator[None]":
    """Dagster's log of the parent is not what a person came for; the runs have their own."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
