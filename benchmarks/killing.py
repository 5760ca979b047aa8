"""`hnp run` killed and its disk filled, again and again: is the end the same as if nothing had happened?

    python -m benchmarks.killing [--kills 33] [--fills 22] [--patients 16] [--seed 0] [--folder DIR]

Two homes of one study (a phantom at 64 pixels, one task, two epochs a fold). One is made by a run that nobody
disturbs. For the other the command is started, disturbed at a chosen step, started again, disturbed at the next.
A kill is a SIGKILL to the command and all its descendants, to the command alone, or to the step's process alone, at
a random moment of the step or when a certain file is there. A fill leaves a few free kilobytes, or none, on the disk
(a tmpfs of its own) when the step begins; it takes root and a system that lets itself be mounted on. After each one
every file under its final name must be whole. In the end both homes must hold the same (`benchmarks.homes`), and
nothing may hang.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from benchmarks.homes import differences, hanging, unsound

STUDY = {
    "name": "hnp-killing",
    "tasks": ["level"],
    "imaging": {"size": 64},
    "training": {
        "backbone": "test_efficientnet",
        "weights": {"source": "random"},
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1.0e-3,
        "restart_epochs": 2,
    },
    "evaluation": {"bootstrap_draws": 100},
    "explanation": {"pairs": 8},
    "report": {"gallery": 4},
    "compute": {"threads": 1, "jobs": 1},
}
# What a step writes, as far as a kill while it is there is worth trying: the step's name, a pattern in the home.
FILES = {
    "radiographs": "intake/{part}/.*",
    "cohort": "tables/.*.tmp*",
    "clahe_cache": "cache/{part}/*/images.u8",
    "level/fold_model": "models/level/fold={part}/checkpoint.safetensors",
    "level/gradcam": "gradcam/.level*",
    "warehouse": ".hnp.duckdb.*",
}
_PATIENCE = 600.0  # seconds that a moment is waited for
_BEGUN = re.compile(r"\] (\S+)\s+because")
_DONE = re.compile(r"^ *\S+(?: min)?\s+(\S+)\s+done in (?:(\d+):)?(\d+)", re.M)


@dataclass(frozen=True)
class Kill:
    """SIGKILL to `whom` (`all`, `command`, `step`), `after` so many seconds of a step, or when a file is there."""

    step: str
    whom: str = "all"
    after: float = 0.0
    file: str | None = None


@dataclass(frozen=True)
class Fill:
    """All but `leave` bytes of the disk are taken when a step begins, until the command has ended."""

    step: str
    leave: int = 0


@dataclass
class Story:
    """What was done to a home, and what was seen."""

    told: list[str]  # what the command printed, a text a call
    hit: list[bool]  # whether each disturbance found its moment
    wrong: list[str]  # what must not be


class Command:
    """`hnp run` in a session of its own; its lines are read as they come."""

    def __init__(self, raw: Path, home: Path, profile: Path, *options: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
        program = Path(sys.executable).parent / "hnp"
        self.process = subprocess.Popen(
            [program, "run", "--raw", raw, "--home", home, "--profile", profile, *options],
            env=clean | {"HNP_PSEUDONYM_KEY": "abc", "PYTHONUNBUFFERED": "1"},
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

    def began(self, step: str) -> bool:
        """Wait until a step begins; false if the command ends before."""
        return self.until(lambda: any(m[1] == step for x in list(self.lines) if (m := _BEGUN.search(x))))

    def until(self, met) -> bool:
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
        command = psutil.Process(self.process.pid)
        if whom == "step":
            self.until(lambda: self._steps(command))
        below = command.children(recursive=True)
        victims = {"all": [command, *below], "command": [command], "step": self._steps(command)}[whom]
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


def run(raw: Path, home: Path, profile: Path) -> str:
    """An undisturbed run to its end."""
    command = Command(raw, home, profile)
    told = command.end()
    assert command.process.returncode == 0, told
    return told


def disturbed(raw: Path, home: Path, profile: Path, disturbances: list[Kill | Fill]) -> Story:
    """Start, disturb, look whether all files are whole, start again; in the end, run in peace."""
    story = Story([], [], [])
    for number, disturbance in enumerate(disturbances):
        command = Command(raw, home, profile)
        hit = command.began(disturbance.step)
        if hit and isinstance(disturbance, Kill):
            hit = _kill(command, home, disturbance)
            told = command.end()
        elif hit:
            with _filled(home.parent, disturbance.leave):
                told = command.end()
            story.wrong += _untold(disturbance, command.process.returncode, told)
        else:
            told = command.end()
        story.told.append(told)
        story.hit.append(hit)
        if "Traceback" in told:
            story.wrong.append(f"{number} {disturbance}: a traceback: {told}")
        story.wrong += [f"{number} {disturbance}: {what}" for what in unsound(home)]
    story.told.append(run(raw, home, profile))
    story.wrong += hanging(home)
    return story


def _kill(command: Command, home: Path, kill: Kill) -> bool:
    if kill.file is None:
        time.sleep(kill.after)
        hit = command.process.poll() is None
    else:
        pattern = kill.file
        hit = command.until(lambda: any(home.glob(pattern)))
    return hit and command.kill(kill.whom)


def _untold(fill: Fill, code: int, told: str) -> list[str]:
    """What a run on a full disk must say, and did not. A step that needs no more than is left may succeed."""
    if code == 0:
        return []
    plain = re.search(r"cannot be (written|cached)|needs [\d.]+ GB", told) and "make room" in told
    return [] if code == 1 and plain else [f"{fill}: ended with {code} and said {told}"]


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
def small_disk(place: Path, megabytes: int = 64) -> Iterator[Path | None]:
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


def phantom(folder: Path, patients: int) -> tuple[Path, Path]:
    """The raw folder and the settings of the small study."""
    program = str(Path(sys.executable).parent / "hnp")
    made = [program, "phantom", str(folder / "phantom"), "--patients", str(patients), "--seed", "3"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    profile = folder / "study.yaml"
    profile.write_text(yaml.safe_dump(STUDY))
    return folder / "phantom" / "raw", profile


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=33)
    parser.add_argument("--fills", type=int, default=22)
    parser.add_argument("--patients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the homes stay; default: a temporary one")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        raw, profile = phantom(folder, options.patients)
        told = run(raw, folder / "home", profile)
        with small_disk(folder / "disk") as disk:
            if disk is None:
                print("no tmpfs can be mounted here: no full disks")
            fills = options.fills if disk else 0
            plan = disturbances(told, options.kills, fills, random.Random(options.seed))
            home = (disk or folder / "disk") / "home"
            story = disturbed(raw, home, profile, plan)
            story.wrong += [f"differs: {name}" for name in differences(folder / "home", home)]
    for disturbance, hit in zip(plan, story.hit, strict=True):
        print(f"{'' if hit else 'missed: '}{disturbance}")
    print(f"{sum(story.hit)} of {len(plan)} disturbances found their moment")
    print("\n".join(story.wrong) or "nothing wrong: both homes hold the same, nothing hangs")
    sys.exit(bool(story.wrong))


def disturbances(told: str, kills: int, fills: int, chance: random.Random) -> list[Kill | Fill]:
    """So many of each, spread over the steps in the order in which they are made; moments by chance."""
    took = {name: 60 * int(minutes or 0) + int(seconds) for name, minutes, seconds in _DONE.findall(told)}
    steps = [m[1] for line in told.splitlines() if (m := _BEGUN.search(line))]
    plan: list[Kill | Fill] = []
    for i in range(kills):
        step = steps[i * len(steps) // kills]
        name, _, part = step.rstrip("]").partition("[")
        file = FILES.get(name, "").format(part=part)
        whom = chance.choice(("all", "all", "command", "step"))
        by_file = bool(file) and chance.random() < 0.5
        after = 0.0 if by_file else chance.uniform(0, took[step] + 0.5)
        plan.append(Kill(step, whom, round(after, 2), file if by_file else None))
    for i in range(fills):
        plan.append(Fill(steps[i * len(steps) // fills], chance.choice((0, 2**17, 2**18, 2**19, 2**20))))
    return sorted(plan, key=lambda d: (steps.index(d.step), isinstance(d, Fill)))


if __name__ == "__main__":
    main()
