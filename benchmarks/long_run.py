"""A home over many deliveries, and the servers on it all the while: what grows, and does it grow faster than the data?

    python -m benchmarks.long_run [--patients 500] [--deliveries 20] [--minutes 5] [--folder DIR]

A phantom's patients are dealt out: one part develops the models, and `hnp run` makes the study from it. Then `hnp ui` is
started, with a look a second, and the other parts are put into the raw folder one after the other, as test collections:
the sensors take each in, and bring everything up to the report up to date. A row a delivery: images so far, the runs it
took, CPU seconds of the servers and all that they started, the home's size and its shares. In the end memory and open
files of each server, early and late.
"""

import argparse
import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import closing, suppress
from pathlib import Path

import dagster as dg
import psutil
import yaml

from benchmarks.homes import is_fresh
from benchmarks.killing import STUDY
from hnp_pipeline.automation.survey import known_collections
from hnp_pipeline.definitions import study_assets
from hnp_pipeline.project import resolve

PROGRAM = str(Path(sys.executable).parent / "hnp")
SETTLED = 60.0  # seconds after which a server has loaded what it needs
PATIENCE = 1800.0  # seconds that a delivery is waited for


def dealt(raw: Path, parts: list[Path]) -> None:
    """The first collection's patients, in the order in which they appear, in so many folders by turns."""
    turn: dict[str, int] = {}
    for name in ("xrays.csv", "mri_readings.csv", "surgeries.csv"):
        with (raw / "first" / name).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
        mine = defaultdict(list)
        for row in rows:
            mine[turn.setdefault(row["patient_id"], len(turn) % len(parts))].append(row)
        for i, part in enumerate(parts):
            (part / "images").mkdir(parents=True, exist_ok=True)
            with (part / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(mine[i])
            for row in mine[i]:
                source = raw / "first" / row.get("file", "")
                if row.get("file") and source.is_file() and not source.is_symlink():
                    shutil.copy(source, part / "images")
    for part in parts:
        (part / "_SUCCESS").touch()


def command(*arguments: str) -> tuple[str, float]:
    """What `hnp` printed, and the CPU seconds of all its processes."""
    spent: dict[tuple[int, float], float] = {}
    with subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True) as process:
        me = psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.Error):
                for each in [me, *me.children(recursive=True)]:
                    with suppress(psutil.Error):
                        times = each.cpu_times()
                        spent[each.pid, each.create_time()] = times.user + times.system
            time.sleep(0.2)
        told = process.stdout.read() if process.stdout else ""
    assert process.returncode == 0, told
    return told, sum(spent.values())


def size(path: Path) -> float:
    """MB of all files."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) / 1e6


class Servers:
    """`hnp ui` on a home: memory and open files of its lasting processes, CPU seconds of all of them."""

    def __init__(self, home: Path) -> None:
        ports = ["--port", "3900", "--mlflow-port", "3901", "--report-port", "3902"]
        self.process = subprocess.Popen(
            [PROGRAM, "ui", "--home", str(home), *ports], stdout=subprocess.DEVNULL
        )
        self.looks: dict[tuple[int, str], list[tuple[float, float, int]]] = defaultdict(list)
        self.spent: dict[tuple[int, float], float] = {}
        self.over = threading.Event()
        self.watch = threading.Thread(target=self._watch)
        self.watch.start()

    def _watch(self) -> None:
        started, me = time.monotonic(), psutil.Process(self.process.pid)
        while not self.over.wait(0.5) and self.process.poll() is None:
            with suppress(psutil.Error):
                for each in [me, *me.children(recursive=True)]:
                    with suppress(psutil.Error):
                        times, now = each.cpu_times(), time.monotonic() - started
                        self.spent[each.pid, each.create_time()] = times.user + times.system
                        look = (now, each.memory_info().rss / 1e6, each.num_fds())
                        self.looks[each.pid, _name(each)].append(look)

    def seconds(self) -> float:
        """Of the processor so far."""
        return sum(self.spent.values())

    def stop(self) -> None:
        self.over.set()
        self.watch.join()
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def told(self) -> None:
        """A row for each process that was there from early to late."""
        last = max(looks[-1][0] for looks in self.looks.values())
        print(
            f"\n{'process':40} {'minutes':>7} {'MB':>6} {'to':>6} {'most':>6} {'files':>5} {'to':>5} {'most':>5}"
        )
        for (_, name), looks in self.looks.items():
            settled = [x for x in looks if x[0] >= SETTLED]
            if settled and settled[-1][0] > last - 30 and settled[0][0] < SETTLED + 30:
                (first, memory, files), (end, memory_then, files_then) = settled[0], settled[-1]
                most = [max(x[i] for x in settled) for i in (1, 2)]
                print(
                    f"{name:40} {(end - first) / 60:7.1f} {memory:6.0f} {memory_then:6.0f} {most[0]:6.0f} "
                    f"{files:5d} {files_then:5d} {most[1]:5d}"
                )


def deliveries(parts: list[Path], raw: Path, home: Path, servers: Servers) -> None:
    """Put one after the other into the raw folder, and print what each cost."""
    images = sum(1 for _ in raw.glob("*/images/*"))
    names = ("MB: home", "Dagster", "MLflow", "cache", "rest")
    print(f"{'images':>6} {'runs':>5} {'CPU s':>6} {'minutes':>7} " + " ".join(f"{n:>8}" for n in names))
    assets = study_assets(resolve({}, home=home))
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        for part in parts:
            images += len(list((part / "images").iterdir()))
            start, spent = time.monotonic(), servers.seconds()
            runs = instance.get_runs_count()
            part.rename(raw / part.name)
            while not (part.name in known_collections(instance) and is_fresh(instance, assets)):
                assert servers.process.poll() is None, "hnp ui has ended"
                assert time.monotonic() - start < PATIENCE, f"{part.name} is not taken in"
                time.sleep(2)
            shares = [size(home / name) for name in ("dagster", "mlflow", "cache")]
            whole = size(home)
            figures = " ".join(f"{x:8.2f}" for x in (whole, *shares, whole - sum(shares)))
            print(
                f"{images:6d} {instance.get_runs_count() - runs:5d} {servers.seconds() - spent:6.1f} "
                f"{(time.monotonic() - start) / 60:7.2f} {figures}",
                flush=True,
            )


def _name(process: psutil.Process) -> str:
    words = [Path(w).name for w in process.cmdline()]
    known = [
        w for w in words if w.startswith(("dagster", "mlflow", "uvicorn", "http.server", "multiprocessing"))
    ]
    kind = [w for w in words if w in ("run", "server", "grpc", "api", "code-server")]
    return " ".join([*known[:1], *kind[:2]]) or " ".join(words)[:40]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--deliveries", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5, help="that `hnp ui` goes on with nothing to do")
    parser.add_argument("--folder", type=Path, help="where the home stays; default: a temporary one")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        phantom, raw, home, profile = (folder / n for n in ("phantom", "raw", "home", "study.yaml"))
        command("phantom", str(phantom), "--patients", str(options.patients), "--seed", "3")
        raw.mkdir()
        profile.write_text(yaml.safe_dump(STUDY | {"compute": {"threads": 1, "look_seconds": 1}}))
        parts = [folder / "parts" / f"part{i:02d}" for i in range(options.deliveries + 1)]
        dealt(phantom / "raw", parts)
        parts[0].rename(raw / parts[0].name)
        _, seconds = command("run", "--raw", str(raw), "--home", str(home), "--profile", str(profile))
        print(
            f"the first collection, to the report: {seconds:.0f} CPU seconds; {size(home):.1f} MB", flush=True
        )
        servers = Servers(home)
        try:
            deliveries(parts[1:], raw, home, servers)
            time.sleep(options.minutes * 60)
        finally:
            servers.stop()
        servers.told()
        with closing(sqlite3.connect(home / "dagster" / "schedules" / "schedules.db")) as db:
            print("looks of the sensors:", db.execute("SELECT count(*) FROM job_ticks").fetchone()[0])
        _, seconds = command("run", "--home", str(home))
        print(f"`hnp run` once more, with nothing to do: {seconds:.0f} CPU seconds")


if __name__ == "__main__":
    main()
