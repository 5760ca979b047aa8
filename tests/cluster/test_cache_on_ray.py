"""A cache whose shards are made on two nodes, one of which dies half-way: the cache that one machine makes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from hnp_pipeline.imaging.cache import ImageCache, build_cache
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.study import Imaging
from hnp_pipeline.tables import read_table, write_table

pytestmark = [pytest.mark.end_to_end]

SETTINGS = Imaging(size=64)
SHARD, IMAGES = 5, 80
# Prints the images that are done, and in the end how many shards were begun.
BUILD = """
import sys
from pathlib import Path
from hnp_pipeline.imaging.cache import build_cache
from hnp_pipeline.study import Imaging, Share
from hnp_pipeline.tables import read_table
from resources.shards import OnRay

def tell(fraction, message):
    print(message, flush=True)

spread = OnRay(Share(cpus=1), int(sys.argv[3]))
build_cache(Path(sys.argv[1]), read_table(Path(sys.argv[2])), Imaging(size=64), spread, tell)
from ray.util.state import list_tasks
print("attempts", len(list_tasks(detail=True, limit=10_000)), flush=True)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> pa.Table:
    """Films that take a while to decode: sha256, path."""
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(IMAGES)]
    for name in names:
        Image.fromarray(random.integers(0, 255, (1500, 1200), np.uint8)).save(folder / name, compress_level=1)
    table = inspect_files(folder, pa.array(names), None, 10**8, 2)
    return pa.table({"sha256": table["sha256"], "path": [str(folder / name) for name in names]})


def test_a_node_that_dies_costs_the_shards_it_was_at(nodes, images, tmp_path):
    here, there, listed = tmp_path / "here", tmp_path / "there", tmp_path / "images.parquet"
    write_table(images, listed)
    assert build_cache(here, images, SETTINGS, 2).new == IMAGES
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(there), str(listed), str(SHARD)],
        env=nodes.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    told = []
    for line in builder.stdout:
        told.append(line.strip())
        if len(told) == 4:
            nodes.kill()
    assert builder.wait() == 0
    nodes.add("127.0.0.4")  # for those who come after
    attempts = int(told.pop().split()[1])
    assert told[-1] == f"{IMAGES} of {IMAGES} images cached"
    in_flight = 2 * nodes.cpus
    assert IMAGES / SHARD <= attempts <= IMAGES / SHARD + in_flight
    assert same(here, there)


def same(here: Path, there: Path) -> bool:
    """Both caches hold the same images, pixel by pixel, and the same index."""
    one, other = (ImageCache.open(place, SETTINGS) for place in (here, there))
    index = [read_table(place / SETTINGS.hash / "index.parquet") for place in (here, there)]
    return np.array_equal(one.images, other.images) and index[0].equals(index[1])


def test_an_image_that_changed_is_one_clear_error(nodes, images, tmp_path):
    broken = pa.table({"sha256": ["0" * 64], "path": images["path"][:1]})
    write_table(broken, tmp_path / "images.parquet")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path / "cache"), str(tmp_path / "images.parquet"), "5"],
        env=nodes.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    error = (
        "hnp_pipeline.errors.StepError: the image with SHA-256 000000000000… cannot be cached "
        "(changed since it was inspected): run again"
    )
    assert error in done.stderr.splitlines(), done.stderr
