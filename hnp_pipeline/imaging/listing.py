"""Which caches lie on the disk: a folder a collection, in it a folder for each imaging settings' hash."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from hnp_pipeline.imaging.store import UNUSABLE, read_index
from hnp_pipeline.study import Imaging

SETTINGS = "settings.yaml"


@dataclass(frozen=True)
class CacheInfo:
    """A cache on the disk; `settings` is None where they cannot be read."""

    folder: Path
    collection: str
    hash: str
    settings: Imaging | None
    images: int
    bytes: int


def list_caches(root: Path) -> list[CacheInfo]:
    """Every cache of every collection under `home.cache`'s root, by collection and hash."""
    return [cache_info(folder) for collection in folders(root) for folder in folders(collection)]


def folders(directory: Path) -> list[Path]:
    """The folders in it, by name; none where it is not there."""
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def cache_info(folder: Path) -> CacheInfo:
    """The cache in this folder."""
    try:
        text = (folder / SETTINGS).read_text(encoding="utf-8")
        settings = Imaging.model_validate(yaml.safe_load(text))
    except (OSError, ValueError, yaml.YAMLError):
        settings = None
    try:
        images = read_index(folder / "index.parquet").num_rows
    except UNUSABLE:
        images = 0
    return CacheInfo(
        folder, folder.parent.name, folder.name, settings, images, sum(map(_size, folder.iterdir()))
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a builder's, gone by now
        return 0
