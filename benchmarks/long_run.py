"""A home over many deliveries, and the servers on it over many looks: what grows, and does it grow faster than the data?

    python -m benchmarks.long_run [--patients 200] [--deliveries 20] [--until cohort] [--minutes 10] [--folder DIR]

A phantom's patients are dealt out: one part develops the models, the others come one after the other as test
collections, and `hnp run --until …` takes in each. A row a delivery: images so far, CPU seconds of the command with all
its processes, the home's size and its shares. Then the study is made to its end, and `hnp ui` watches it with a look a
second: memory and open files of its processes, at the start and at the end.
"""

import argparse
import csv
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing, suppress
from pathlib import Path

import psutil
import yaml

from benchmarks.killing import STUDY

PROGRAM = str(Path(sys.executable).parent / "hnp")
SETTLED = 60.0  # seconds after which a server has loaded what it needs


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


def deliveries(parts: list[Path], raw: Path, home: Path, profile: Path, until: str) -> None:
    """Take in one after the other, and print what each cost."""
    images = 0
    print(
        f"{'images':>6} {'steps':>5} {'CPU s':>6} {'home':>7} {'Dagster':>7} {'MLflow':>7} {'cache':>7} rest (MB)"
    )
    for part in parts:
        images += len(list((part / "images").iterdir()))
        part.rename(raw / part.name)
        told, seconds = command(
            "run", "--raw", str(raw), "--home", str(home), "--profile", str(profile), "--until", until
        )
        steps = re.search(r"(\d+) steps made", told)
        shares = [size(home / name) for name in ("dagster", "mlflow", "cache")]
        whole = size(home)
        figures = " ".join(f"{x:7.2f}" for x in (whole, *shares, whole - sum(shares)))
        print(f"{images:6d} {steps[1] if steps else 0:>5} {seconds:6.1f} {figures}", flush=True)


def watched(home: Path, seconds: float) -> None:
    """`hnp ui` on a home where all is up to date: memory and open files of each process, early and late."""
    ports = ["--port", "3900", "--mlflow-port", "3901", "--report-port", "3902"]
    started, seen = time.monotonic(), defaultdict(list)
    with subprocess.Popen([PROGRAM, "ui", "--home", str(home), *ports], stdout=subprocess.DEVNULL) as process:
        me = psutil.Process(process.pid)
        while time.monotonic() - started < SETTLED + seconds and process.poll() is None:
            time.sleep(5)
            for each in me.children(recursive=True):
                with suppress(psutil.Error):
                    now = (time.monotonic() - started, each.memory_info().rss / 1e6, each.num_fds())
                    seen[each.pid, _name(each)].append(now)
        process.send_signal(signal.SIGINT)
    print(f"\n{'process':40} {'minutes':>7} {'MB':>6} {'to':>6} {'files':>5} {'to':>5}")
    for (_, name), looks in seen.items():
        settled = [x for x in looks if x[0] >= SETTLED]
        if len(settled) > 1:
            (_, memory, files), (_, memory_then, files_then) = settled[0], settled[-1]
            minutes = (settled[-1][0] - settled[0][0]) / 60
            print(
                f"{name:40} {minutes:7.1f} {memory:6.0f} {memory_then:6.0f} {files:5d} {files_then:5d}"
                f"   most {max(x[1] for x in settled):.0f} MB, {max(x[2] for x in settled)} files"
            )
    with closing(sqlite3.connect(home / "dagster" / "schedules" / "schedules.db")) as db:
        print("looks of the sensors:", db.execute("SELECT count(*) FROM job_ticks").fetchone()[0])


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
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--deliveries", type=int, default=20)
    parser.add_argument("--until", default="cohort", help="how far each delivery is taken")
    parser.add_argument("--minutes", type=float, default=10, help="that `hnp ui` is watched")
    parser.add_argument("--folder", type=Path, help="where the home stays; default: a temporary one")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        phantom, raw, profile = folder / "phantom", folder / "raw", folder / "study.yaml"
        command("phantom", str(phantom), "--patients", str(options.patients), "--seed", "3")
        raw.mkdir()
        profile.write_text(yaml.safe_dump(STUDY | {"compute": {"threads": 1, "jobs": 1, "look_seconds": 1}}))
        parts = [folder / "parts" / f"part{i:02d}" for i in range(options.deliveries + 1)]
        dealt(phantom / "raw", parts)
        deliveries(parts, raw, folder / "home", profile, options.until)
        _, seconds = command("run", "--home", str(folder / "home"))
        print(f"the rest of the study: {seconds:.0f} CPU seconds; {size(folder / 'home'):.1f} MB")
        _, seconds = command("run", "--home", str(folder / "home"))
        print(f"once more, with nothing to do: {seconds:.0f} CPU seconds")
        if options.minutes:
            watched(folder / "home", options.minutes * 60)


if __name__ == "__main__":
    main()
