"""The truth known, the truth found: the demo's AUC on the strong phantom, and 0.5 where labels are shuffled.

    python -m benchmarks.truth strong      mean patient-level test AUC of the task `level`, beside the phantom's ceiling
    python -m benchmarks.truth shuffled    the same study with every patient's labels given to another patient

Both drive the real command with `profiles/demo.yaml` (task `level` alone) in demo/truth/.
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


def run(kind: str, patients: int, seed: int) -> str:
    folder = ROOT / "demo" / "truth"
    phantom = folder / f"phantom-{patients}-{seed}"
    subprocess.run([HNP, "phantom", phantom, "--patients", str(patients), "--seed", str(seed)], check=True)
    raw, home = phantom / "raw", folder / f"{kind}-{patients}-{seed}"
    if kind == "shuffled":
        raw = folder / f"raw-shuffled-{patients}-{seed}"
        shutil.rmtree(raw, ignore_errors=True)
        shutil.copytree(phantom / "raw", raw, symlinks=True)
        shuffle_labels(raw)
    profile = folder / "profile.yaml"
    settings = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text("utf-8"))
    profile.write_text(yaml.safe_dump(settings | {"tasks": ["level"]}), "utf-8")
    command = [HNP, "run", "--raw", raw, "--home", home, "--profile", profile, "--until", "evaluation"]
    subprocess.run(command, check=True)
    rows = duckdb.sql(
        f"""
        SELECT value, ci_low, ci_high FROM '{home}/tables/metrics.parquet'
        WHERE split = 'test' AND fold IS NULL AND unit = 'patient' AND metric = 'auc' AND level = 'all'
        """
    ).fetchall()
    ceiling = json.loads((phantom / "truth" / "phantom.json").read_text("utf-8"))["ceilings"]["population"]
    [(value, low, high)] = rows
    return f"{kind}: mean patient-level test AUC over the five levels {value:.3f} ({low:.3f} to {high:.3f}); ceiling {sum(ceiling.values()) / len(ceiling):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["strong", "shuffled"], nargs="*", default=["strong", "shuffled"])
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("\n".join([run(kind, options.patients, options.seed) for kind in options.kind]))


if __name__ == "__main__":
    main()
