"""`hnp run` disturbed on purpose: killed at a moment of a step, or its disk filled, and looked at after each time."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.homes import hanging, unsound

KEY = "abc"  # of the pseudonyms: the same in both homes
_PATIENCE = 600.0  # seconds that a moment is waited for
_BEGUN = re.compile(r"\] (\S+)\s+because")
_ENDED = re.compile(r"^ *\S+ (?:s|min|h) +(\S+) +(done in .*|FAILED: .*)")


@dataclass(frozen=True)
class Kill:
    """SIGKILL to `whom` (`all`, `command`, `step`), `after` so many seconds of a step, or when a file is there."""

    step: str
    whom: str = "all"
    after: float = 0.0
    file: str | None = None


@dataclass(frozen=True)
class Fill:
    """All but `leave` bytes of the disk are taken when a step begins, until it has ended."""

    step: str
    leave: int = 0


@dataclass
class Story:
    """What was done to a home, and what was seen."""

    hit: list[tuple[Kill | Fill, str]] = field(default_factory=list)  # with the step that was struck
    missed: list[Kill | Fill] = field(default_factory=list)  # the step was over before its moment came
    wrong: list[str] = field(default_factory=list)  # what must not be
    commands: int = 0


class Command:
    """`hnp run` in a session of its own; its lines are read as they come."""

    def __init__(self, raw: Path, home: Path, profile: Path, *options: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
        program = Path(sys.executable).parent / "hnp"
        self.process = subprocess.Popen(
            [program, "run", "--raw", raw, "--home", home, "--profile", profile, *options],
            env=clean | {"HNP_PSEUDONYM_KEY": KEY, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)

    def begun(self, after: int = 0) -> list[str]:
        """The steps that have begun since so many lines, in order."""
        return [m[1] for line in self.lines[after:] if (m := _BEGUN.search(line))]

    def ending(self, step: str) -> str | None:
        """How a step ended: `done in …`, `FAILED: …`; None while it is at work."""
        found = (m for line in list(self.lines) if (m := _ENDED.search(line)) and m[1] == step)
        return next((m[2] for m in found), None)

    def until(self, met: Callable[[], object]) -> bool:
        """Wait for what is to come; false if the command ends before."""
        end = time.monotonic() + _PATIENCE
        while not met():
            if self.process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def end(self) -> str:
        """Wait for the end; everything that was printed."""
        self.process.wait()
        self.reader.join()
        return "".join(self.lines)

    def kill(self, whom: str) -> bool:
        """As a person with `kill -9`, the kernel's memory killer, or a power cut would; false if nobody was there."""
        try:
            command = psutil.Process(self.process.pid)
            if whom == "step":
                self.until(lambda: self._steps(command))
            below = command.children(recursive=True)
            victims = {"all": [command, *below], "command": [command], "step": self._steps(command)}[whom]
        except psutil.NoSuchProcess:  # it has just ended
            return False
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        return bool(victims)

    @staticmethod
    def _steps(command: psutil.Process) -> list[psutil.Process]:
        """The processes that lead a session of their own."""
        found = []
        for process in command.children(recursive=True):
            with suppress(ProcessLookupError):
                if os.getsid(process.pid) == process.pid:
                    found.append(process)
        return found


def run(raw: Path, home: Path, profile: Path, *options: str) -> str:
    """An undisturbed run to its end."""
    command = Command(raw, home, profile, *options)
    told = command.end()
    assert command.process.returncode == 0, told
    return told


def disturbed(
    raw: Path,
    home: Path,
    profile: Path,
    disturbances: list[Kill | Fill],
    *options: str,
    say: Callable[[str], None] = lambda _: None,
) -> Story:
    """Start, disturb each step as it begins, look whether all files are whole, start again; in the end, run in peace.

    A command that a disturbance leaves alive goes on with what does not need the disturbed step, and is disturbed
    there.
    """
    story, waiting = Story(), list(disturbances)
    while waiting:
        story.commands += 1
        command, seen, left = Command(raw, home, profile, *options), 0, len(waiting)
        while command.until(lambda: len(command.begun()) > seen):  # noqa: B023  (called at once)
            step = command.begun()[seen]
            seen += 1
            if found := next((d for d in waiting if d.step == step), None):
                waiting.remove(found)
                _disturb(command, home, found, story, say)
                if (
                    isinstance(found, Kill)
                    and found.whom != "step"
                    and story.hit
                    and story.hit[-1][0] is found
                ):
                    break  # what it printed last is not of a command that goes on
        told = command.end()
        wrong = [f"a traceback: {told}"] if "Traceback" in told else []
        wrong += unsound(home)
        story.wrong += wrong
        done = command.process.returncode == 0
        over = [d for d in waiting if done or (command.ending(d.step) or "").startswith("done")]
        story.missed += over
        waiting = [d for d in waiting if d not in over]
        say(f"command {story.commands} ended with {command.process.returncode} {' '.join(wrong)}")
        if left == len(waiting):
            story.wrong.append(f"these steps were not made: {waiting} {told}")
            break
    run(raw, home, profile, *options)
    story.wrong += hanging(home)
    return story


def _disturb(
    command: Command, home: Path, disturbance: Kill | Fill, story: Story, say: Callable[[str], None]
) -> None:
    step = disturbance.step
    if isinstance(disturbance, Kill):
        hit = _kill(command, home, disturbance)
        struck = command.begun()[-1] if command.ending(step) else step
        if disturbance.whom == "step":
            command.until(lambda: command.ending(struck))
    else:
        with _filled(home.parent, disturbance.leave):
            command.until(lambda: command.ending(step))
            ending = command.ending(step)
            told = ending or command.end()
        hit, struck = True, step
        if not (ending or "").startswith("done") and not _plain(told):
            story.wrong.append(f"{disturbance}: said {told}")
    if hit:
        story.hit.append((disturbance, struck))
    else:
        story.missed.append(disturbance)
    say(
        f"{len(story.hit):3d} {'' if hit else 'missed: '}{disturbance} struck {struck}: {command.ending(struck)}"
    )


def _kill(command: Command, home: Path, kill: Kill) -> bool:
    if kill.file is None:
        time.sleep(kill.after)
        hit = command.process.poll() is None
    else:
        pattern = kill.file
        hit = command.until(lambda: any(home.glob(pattern)) or command.ending(kill.step))
    return hit and command.kill(kill.whom)


def _plain(told: str) -> bool:
    """Whether a person was told that the disk is full, of which file, and what to do."""
    return bool(re.search(r"cannot be (written|cached)|needs [\d.]+ GB", told)) and "make room" in told


@contextmanager
def _filled(disk: Path, leave: int) -> Iterator[None]:
    """Take the room on a disk: a step that then fails and tidies up after itself finds no more than it had."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            take = max(0, shutil.disk_usage(disk).free - leave)
            with suppress(OSError):
                for _ in range(take // 4096):
                    file.write(b"x" * 4096)
            yield
    finally:
        filler.unlink()


@contextmanager
def small_disk(place: Path, megabytes: int = 96) -> Iterator[Path | None]:
    """A tmpfs at `place`; None where it may not be mounted."""
    place.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    try:
        yield place if done else None
    finally:
        if done:
            subprocess.run(["umount", "-l", str(place)], check=False)
