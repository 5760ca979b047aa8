"""What more nodes bring, and what Ray costs: `python -m benchmarks.cluster [--nodes 2] [--films 96] [--patients 60]`.

Needs `make cluster`. The nodes are `ray start` on this machine with one CPU each, so as many as it has cores say
something; everything that takes part uses one thread.

1. The image cache of radiographs of 2500×2000 pixels, its shards on one node, then on more.
2. Four folds by `hnp run --until training`, on one node, then on more; beside it one machine's own way, as many side by
   side as there are nodes.
3. A step that has next to nothing to do, by `hnp run --until cohort`, one at a time: on Ray and as always.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import yaml

from benchmarks.imaging import SIZE, films, make_films
from benchmarks.killing import STUDY
from benchmarks.nodes import Nodes
from hnp_pipeline.home import Home
from hnp_pipeline.tables import read_table, write_table

PROGRAM = str(Path(sys.executable).parent / "hnp")
PER_SHARD = 8  # images
EPOCHS = 6
BUILD = f"""
import sys, time
from pathlib import Path
import ray
from hnp_pipeline.imaging.cache import build_cache
from hnp_pipeline.study import Imaging, Share
from hnp_pipeline.tables import read_table
from resources.shards import OnRay
ray.init(log_to_driver=False)
images, spread = read_table(Path(sys.argv[1])), OnRay(Share(cpus=1), {PER_SHARD})
build_cache(Path(sys.argv[2]) / "warm", images.slice(0, {PER_SHARD} * int(sys.argv[3])), Imaging(size={SIZE}), spread)
start = time.perf_counter()
build_cache(Path(sys.argv[2]) / "all", images, Imaging(size={SIZE}), spread)
print(time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--films", type=int, default=96)
    parser.add_argument("--patients", type=int, default=60)
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as place:
        folder = Path(place)
        make_films(folder / "films", options.films)
        write_table(films(folder), folder / "films.parquet")
        run("phantom", folder / "phantom", "--patients", options.patients, "--seed", 3)
        profile = folder / "study.yaml"
        imaged = folder / "imaged"
        write_profile(profile, 1)
        on_one = measured_study(folder, profile, imaged, "cohort")
        measured_study(folder, profile, imaged, "imaging")
        print(f"load {os.getloadavg()[0]:.1f}\n{'':34}{'nodes':>6}{'seconds':>9}{'a second':>10}{'ratio':>7}")
        caches, folds = [], []
        for nodes in range(1, options.nodes + 1):
            cluster = Nodes(folder / f"r{nodes}", 1)
            cluster.start(nodes)
            try:
                caches.append(cache(folder, cluster, nodes))
                row("cache, images", nodes, caches[0], caches[-1], options.films)
                write_profile(profile, nodes, cluster.address)
                folds.append(training(folder, profile, imaged, nodes, "ray", cluster))
                row("four folds on Ray, image passes", nodes, folds[0], folds[-1], passes(imaged))
                if nodes == 1:
                    on_ray = measured_study(folder, profile, folder / "ray", "cohort", cluster)
            finally:
                cluster.stop()
        write_profile(profile, options.nodes)
        here = training(folder, profile, imaged, options.nodes, "local")
        row("four folds, one machine's own way", options.nodes, folds[0], here, passes(imaged))
        print(f"\na step of next to nothing: {on_one:.2f} s here, {on_ray:.2f} s on Ray")


def write_profile(path: Path, side_by_side: int, address: str | None = None) -> None:
    """One thread a fold, so many folds side by side; on Ray as many as there are nodes."""
    one = {"cpus": 1, "gpus": 0, "memory_gb": None}
    ray = {"fold_model": one, "test_evaluation": one, "gradcam": one, "clahe_cache": one}
    compute = {"threads": 1, "jobs": side_by_side, "ray": ray | ({"address": address} if address else {})}
    training = STUDY["training"] | {"epochs": EPOCHS, "backbone": "efficientnet_lite0"}
    path.write_text(yaml.safe_dump(STUDY | {"training": training, "compute": compute}))


def run(*arguments: object, cluster: Nodes | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
    if cluster:
        environment |= cluster.variables | {"HNP_EXECUTOR": "ray"}
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
    return done.stdout


def measured_study(
    folder: Path, profile: Path, home: Path, until: str, cluster: Nodes | None = None
) -> float:
    """Bring a home so far; seconds a step, without what a run costs that has nothing to do."""
    raw = ("--raw", folder / "phantom" / "raw", "--home", home, "--profile", profile)
    seconds, told = [], ""
    for _ in range(2):
        start = time.perf_counter()
        told += run("run", *raw, "--until", until, cluster=cluster)
        seconds.append(time.perf_counter() - start)
    steps = re.search(r"(\d+) steps made", told)
    assert steps, told
    return (seconds[0] - seconds[1]) / int(steps[1])


def training(
    folder: Path, profile: Path, imaged: Path, nodes: int, executor: str, cluster: Nodes | None = None
) -> float:
    """Seconds from an imaged home to one with four fold models."""
    home = folder / f"{executor}-{nodes}"
    shutil.copytree(imaged, home, symlinks=True)
    start = time.perf_counter()
    run("run", "--home", home, "--profile", profile, "--until", "training", cluster=cluster)
    return time.perf_counter() - start


def cache(folder: Path, cluster: Nodes, nodes: int) -> float:
    """Seconds to build the cache of the films, after every node has made a shard."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, folder / "films.parquet", folder / f"caches-{nodes}", str(2 * nodes)],
        env=cluster.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return float(done.stdout.splitlines()[-1])


def passes(home: Path) -> int:
    """Image passes of the training of four folds: each image is in three of them, once an epoch."""
    examples: pa.Table = read_table(Home(home).part("development_set"))
    return 3 * EPOCHS * len(examples)


def row(what: str, nodes: int, first: float, seconds: float, things: int) -> None:
    print(f"{what:34}{nodes:6}{seconds:9.1f}{things / seconds:10.1f}{first / seconds:7.2f}", flush=True)


if __name__ == "__main__":
    main()
