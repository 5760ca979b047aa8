"""The truth known, the truth found: the demo's AUC on the strong phantom, and 0.5 where labels are shuffled.

    python -m benchmarks.truth strong      patient-level test AUCs of the task `level`, beside the phantom's ceiling
    python -m benchmarks.truth shuffled    the same study with every patient's labels given to another patient
    python -m benchmarks.truth paper --patients 3000 --epochs 6    as little signal as the paper's AUCs allow (hours)

All drive the real command with `profiles/demo.yaml` (task `level` alone) in demo/truth/. An AUC more than three standard
errors above the ceiling would be leakage: nobody who sees one visit can do better.
"""

import argparse
import csv
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import yaml

ROOT = Path(__file__).resolve().parents[1]
HNP = Path(sys.executable).parent / "hnp"
LABELS = ["l1_2", "l2_3", "l3_4", "l4_5", "l5_s1", "reading"]


def shuffle_labels(raw: Path, seed: int = 0) -> None:
    """Give each patient of each collection the labels of another's first reading; dates stay where they were."""
    for file in sorted(raw.glob("*/mri_readings.csv")):
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        first: dict[str, dict[str, str]] = {}
        for row in rows:
            first.setdefault(row["patient_id"], row)
        givers = sorted(first)
        random.Random(seed).shuffle(givers)
        given = {
            p: {k: first[g].get(k, "") for k in LABELS} for p, g in zip(sorted(first), givers, strict=True)
        }
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(
                row | {k: v for k, v in given[row["patient_id"]].items() if k in row} for row in rows
            )


def study(kind: str, patients: int, seed: int, epochs: int | None) -> tuple[Path, Path]:
    """Run it; return its home and its phantom."""
    folder = ROOT / "demo" / "truth"
    signal = "paper" if kind == "paper" else "strong"
    phantom = folder / f"phantom-{signal}-{patients}-{seed}"
    options = ["--patients", str(patients), "--seed", str(seed), "--signal", signal]
    subprocess.run([HNP, "phantom", phantom, *options], check=True)
    raw, home = phantom / "raw", folder / f"{kind}-{patients}-{seed}"
    if kind == "shuffled":
        raw = folder / f"raw-shuffled-{patients}-{seed}"
        shutil.rmtree(raw, ignore_errors=True)
        shutil.copytree(phantom / "raw", raw, symlinks=True)
        shuffle_labels(raw)
    profile = folder / f"{kind}.yaml"
    settings = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text("utf-8")) | {"tasks": ["level"]}
    if epochs is not None:
        settings["training"] |= {"epochs": epochs, "restart_epochs": epochs}
    profile.write_text(yaml.safe_dump(settings), "utf-8")
    command = [HNP, "run", "--raw", raw, "--home", home, "--profile", profile, "--until", "evaluation"]
    subprocess.run(command, check=True)
    return home, phantom


def verdict(kind: str, home: Path, phantom: Path) -> str:
    """The ensemble's AUC at each level beside the ceiling of the test cohort's own patients, in standard errors.

    The standard error is taken from the width of the 95 % interval: 2 · 1.96 of them.
    """
    rows = duckdb.sql(
        f"""
        SELECT level, value, ci_low, ci_high, (ci_high - ci_low) / 3.92 AS se
        FROM '{home}/tables/metrics.parquet'
        WHERE split = 'test' AND fold IS NULL AND unit = 'patient' AND metric = 'auc'
          AND task = 'level' AND level <> 'hnp' ORDER BY level = 'all', level
        """
    ).fetchall()
    ceilings = json.loads((phantom / "truth" / "phantom.json").read_text("utf-8"))["ceilings"]["test"]
    ceilings["all"] = sum(ceilings[level] for level, *_ in rows if level != "all") / (len(rows) - 1)
    lines = [f"{kind}: level  AUC (95 % interval)  ceiling  above it, in standard errors"]
    for level, value, low, high, error in rows:
        above = (value - ceilings[level]) / error
        lines.append(
            f"  {level:6} {value:.3f} ({low:.3f} to {high:.3f})  {ceilings[level]:.3f}  {above:+.1f}"
        )
        if above > 3:
            lines.append("  LEAKAGE: more than three standard errors above what can be known")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "kind", choices=["strong", "shuffled", "paper"], nargs="*", default=["strong", "shuffled"]
    )
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="a fold; default: the demo's")
    options = parser.parse_args()
    for kind in options.kind:
        print(verdict(kind, *study(kind, options.patients, options.seed, options.epochs)), flush=True)


if __name__ == "__main__":
    main()
