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
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from benchmarks.disturbance import Fill, Kill, disturbed, run, small_disk
from benchmarks.homes import differences, durations

STUDY: dict[str, Any] = {
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
    parser.add_argument(
        "--folder", type=Path, help="where the homes stay, an undisturbed one there serves again"
    )
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        raw, profile = phantom(folder, options.patients)
        if not (folder / "home" / "report" / "index.html").exists():
            run(raw, folder / "home", profile)
        with small_disk(folder / "disk") as disk:
            if disk is None:
                print("no tmpfs can be mounted here: no full disks")
            fills = options.fills if disk else 0
            plan = disturbances(durations(folder / "home"), options.kills, fills, random.Random(options.seed))
            home = (disk or folder / "disk") / "home"
            story = disturbed(raw, home, profile, plan, say=lambda line: print(line, flush=True))
            story.wrong += [f"differs: {name}" for name in differences(folder / "home", home)]
    for kind in (Kill, Fill):
        counts = Counter(struck for d, struck in story.hit if isinstance(d, kind))
        told = ", ".join(f"{step} {n}" for step, n in counts.items())
        print(f"{counts.total()} {kind.__name__.lower()}s, by the step that was struck: {told}")
    print(f"{len(story.missed)} came too late; {story.commands + 1} commands")
    print("\n".join(story.wrong) or "nothing wrong: both homes hold the same, nothing hangs")
    sys.exit(bool(story.wrong))


def disturbances(took: dict[str, float], kills: int, fills: int, chance: random.Random) -> list[Kill | Fill]:
    """So many of each, spread over the steps in the order in which they are made; moments by chance."""
    steps = list(took)
    plan: list[Kill | Fill] = []
    for i in range(kills):
        step = steps[int((i + chance.random()) * len(steps) / kills)]
        name, _, part = step.rstrip("]").partition("[")
        file = FILES.get(name, "").format(part=part)
        whom = chance.choice(("all", "command", "step"))
        by_file = bool(file) and chance.random() < 0.5
        after = 0.0 if by_file else chance.uniform(0, took[step])
        plan.append(Kill(step, whom, round(after, 2), file if by_file else None))
    for i in range(fills):
        step = steps[int((i + chance.random()) * len(steps) / fills)]
        plan.append(Fill(step, chance.choice((0, 2**17, 2**18, 2**19, 2**20))))
    return plan


if __name__ == "__main__":
    main()
