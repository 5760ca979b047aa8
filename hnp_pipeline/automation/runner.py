"""`hnp run`: bring up to date what is out of date, without a daemon, on the instance that the UI shows.

The parent plans and shows progress; each Dagster run is a child process of its own.
"""

import logging
import multiprocessing.connection
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import dagster as dg

from hnp_pipeline import disk
from hnp_pipeline.automation.orphans import bury, cancel_forgotten, clean_up
from hnp_pipeline.automation.planner import Plan, State, Target, plan, upstream_of
from hnp_pipeline.automation.room import Room
from hnp_pipeline.automation.worker import Worker
from hnp_pipeline.errors import StudyError
from hnp_pipeline.home import Home
from hnp_pipeline.progress import duration

Say = Callable[[str], None]
_LOOK_SECONDS = 0.3
_CLEAN_SECONDS = 30.0  # between two looks whether the runs that are waited for still live
_TRIES = 2  # of one step from the same inputs in one call


@dataclass
class Outcome:
    """How a call of the command went."""

    made: list[Target] = field(default_factory=list)
    failed: list[tuple[Target, str]] = field(default_factory=list)  # with the reason
    fresh: int = 0
    held_up: list[Target] = field(default_factory=list)  # need something that failed
    interrupted: bool = False

    @property
    def success(self) -> bool:
        """Everything that was asked for is up to date."""
        return not (self.failed or self.held_up or self.interrupted)


def bring_up_to_date(
    home: Home,
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec],
    instance: dg.DagsterInstance,
    goals: Collection[dg.AssetKey],
    room: Room,
    say: Say,
    ended: Callable[[str], None] = lambda _run_id: None,
) -> Outcome:
    """Make what is out of date of `goals` and of what they are made of; what fails holds up only what needs it.

    Args:
        home: where the runs' logs go.
        assets: every asset of the study.
        instance: the Dagster instance that DAGSTER_HOME names.
        goals: the assets wanted.
        room: how much runs side by side.
        say: takes a line for a person.
        ended: told the id of a run whose process died.
    """
    return _Command(home, assets, instance, upstream_of(assets, goals), room, say, ended).run()


class _Command:
    def __init__(
        self,
        home: Home,
        assets: Sequence[dg.AssetsDefinition | dg.AssetSpec],
        instance: dg.DagsterInstance,
        within: set[dg.AssetKey],
        room: Room,
        say: Say,
        ended: Callable[[str], None],
    ) -> None:
        self.home, self.assets, self.instance, self.within = home, assets, instance, within
        self.room, self.say, self.ended = room, say, ended
        self.pools = {
            key: set(a.op.pools) for a in assets if isinstance(a, dg.AssetsDefinition) for key in a.keys
        }
        self.workers: list[Worker] = []
        self.outcome = Outcome()
        self.attempted: set[str] = set()
        self.errors: dict[str, str] = {}
        self.took: dict[dg.AssetKey, list[float]] = defaultdict(list)
        self.began: dict[str, float] = {}
        self.tries: Counter[str] = Counter()
        self.waited_for: set[Target] = set()
        self.cleaned = time.monotonic()

    def run(self) -> Outcome:
        made = self.plan()
        try:
            while True:
                self.start(made)
                others = set(made.all(State.RUNNING)) - {w.target for w in self.workers}
                if not self.workers and not others:
                    break
                self.wait_for(others)
                if self.watch() or others:
                    made = self.plan()
        except KeyboardInterrupt:
            self.stop()
            return self.outcome
        except Exception:
            for worker in self.workers:
                worker.interrupt()
            raise
        self.outcome.fresh = len(made.all(State.FRESH))
        self.outcome.held_up = made.all(State.STUCK, State.BLOCKED)
        return self.outcome

    def wait_for(self, others: set[Target]) -> None:
        """Say whom this command waits for: runs of the UI or of the sensors, unless they have died."""
        for target in sorted(others - self.waited_for):
            self.say(f"          {target.name:<28} is being made by another run: waiting for it")
        self.waited_for |= others
        if others and time.monotonic() - self.cleaned > _CLEAN_SECONDS:
            clean_up(self.instance, self.say, only_command=False, ended=self.ended)
            cancel_forgotten(self.instance, self.say)
            self.cleaned = time.monotonic()

    def plan(self) -> Plan:
        # A run that has just been started may not be on the instance yet: it has not failed.
        over = self.attempted - {w.attempt for w in self.workers}
        return plan(self.assets, self.instance, failed=over, within=self.within)

    def start(self, made: Plan) -> None:
        """Start what can be made, as far as there is room; one run a pool."""
        mine = {w.target for w in self.workers}
        taken = {pool for t in mine for pool in self.pools[t.key]}
        for target in made.ready:
            pools = self.pools[target.key]
            attempt = made.attempts[target]
            if attempt in self.attempted or target in mine or pools & taken:
                continue
            if reason := self.room.refusal(target):
                self.attempted.add(attempt)
                self.outcome.failed.append((target, reason))
                continue
            if not self.room.fits([w.target for w in self.workers], target):
                continue
            self.attempted.add(attempt)
            inputs = attempt.rpartition(":")[0]
            self.tries[inputs] += 1
            if self.tries[inputs] > _TRIES:
                reason = "made again and again from the same inputs: code or settings change while this command runs"
                self.outcome.failed.append((target, reason))
                continue
            taken |= pools
            worker = Worker.start(self.home, target, made.keys[target], attempt)
            self.began[worker.run_id] = time.monotonic()
            self.workers.append(worker)
            self.line(made, target, "because " + ", ".join(made.reasons[target]))

    def line(self, made: Plan, target: Target, text: str) -> None:
        """Which step, how far, how long still."""
        total = len(made.states)
        done = len(made.all(State.FRESH))
        left = self.left(made)
        self.say(f"[{done:3d}/{total}{left}] {target.name:<28} {text}")

    def left(self, made: Plan) -> str:
        """The time left, as far as steps of the same kind have been timed."""
        todo = made.all(State.READY, State.BLOCKED, State.RUNNING)
        timed = [sum(self.took[t.key]) / len(self.took[t.key]) for t in todo if self.took[t.key]]
        return f", about {duration(sum(timed))} left" if sum(timed) > 5 else ""

    def watch(self) -> bool:
        """Show what the runs say; true when one has ended."""
        if self.workers:
            multiprocessing.connection.wait([w.process.sentinel for w in self.workers], _LOOK_SECONDS)
        else:
            time.sleep(1)
        over = False
        for worker in list(self.workers):
            alive = worker.process.is_alive()
            self.show(worker)
            if not alive:
                self.end(worker)
                over = True
        return over

    def show(self, worker: Worker) -> None:
        events = dg.DagsterEventType
        page = self.instance.get_records_for_run(worker.run_id, cursor=worker.cursor)
        worker.cursor = page.cursor
        for record in page.records:
            entry = record.event_log_entry
            event = entry.dagster_event
            if event is None:
                if int(entry.level) >= logging.INFO:  # what the step itself says
                    self.say(f"          {worker.target.name:<28} {entry.user_message}")
            elif event.event_type == events.ASSET_CHECK_EVALUATION:
                self.warn(worker.target, event.asset_check_evaluation_data)
            elif event.event_type == events.STEP_FAILURE:
                self.errors[worker.run_id] = _reason(event, self.home)
            elif event.event_type == events.RUN_CANCELING:  # asked for in the UI
                worker.interrupt()

    def warn(self, target: Target, check: dg.AssetCheckEvaluation) -> None:
        """Say what a check warns of; where one stops the run, the step's failure tells."""
        if not check.passed and check.severity == dg.AssetCheckSeverity.WARN:
            self.say(f"          {target.name:<28} warning: {check.description}")

    def end(self, worker: Worker) -> None:
        self.workers.remove(worker)
        seconds = time.monotonic() - self.began[worker.run_id]
        record = self.instance.get_run_by_id(worker.run_id)
        if worker.process.exitcode == 0:
            self.took[worker.target.key].append(seconds)
            self.outcome.made.append(worker.target)
            self.say(f"          {worker.target.name:<28} done in {duration(seconds)}")
            return
        default = (
            f"its process ended with {worker.process.exitcode}; see {self.home.logs / worker.run_id}.log"
        )
        reason = self.errors.get(worker.run_id) or worker.last_words() or default
        if record is not None and record.status == dg.DagsterRunStatus.CANCELED:
            reason = "cancelled in the UI"
        self.outcome.failed.append((worker.target, reason))
        self.say(f"          {worker.target.name:<28} FAILED: {reason}")
        if record is not None and not record.is_finished:
            self.ended(worker.run_id)
            bury(self.instance, record, f"its process ended with {worker.process.exitcode}")

    def stop(self) -> None:
        """Ctrl-C: the runs end as cancelled; what was finished stays."""
        self.say("stopping …")
        self.outcome.interrupted = True
        for worker in self.workers:
            if record := self.instance.get_run_by_id(worker.run_id):
                self.instance.report_run_canceling(record)  # or it would count as failed
            worker.interrupt()
        for worker in self.workers:
            worker.process.join(30)
            self.show(worker)


def _reason(event: dg.DagsterEvent, home: Home) -> str:
    """The step's own words: of a `Failure` its description, else of the error that was written for the user or
    came from the disk, else of the first behind Dagster's."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    messages, error = [], data.error
    while error is not None:
        text = " ".join(error.message.split())
        if error.cls_name in _TOLD:
            return text.partition(": ")[2]
        messages.append(text)
        error = error.cause
    of_disk = [told for text in messages if (told := disk.told(text, home.root))]
    return (of_disk + messages[-1:] + ["no reason recorded"])[0]


_TOLD = {StudyError.__name__, *(kind.__name__ for kind in StudyError.__subclasses__())}
