"""Tables on disk: Parquet, written whole to a temporary name, synced, renamed. And their content hash."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`: when the body succeeds it is synced and becomes `path`, else it is removed.

    A reader of `path` sees the old file or the new one, whole, whenever the process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` durable."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_table(table: pa.Table, path: Path) -> None:
    """Write `table` to `path` as Parquet (zstd), atomically."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The whole table at `path`, or some of its columns.

    Raises:
        FileNotFoundError: there is no such table yet.
    """
    return pq.read_table(path, columns=columns, partitioning=None)


def write_text(text: str, path: Path) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def content_hash(table: pa.Table) -> str:
    """A hash (16 hex digits) of names, types and values in their order; not of chunks, metadata or file."""
    digest = hashlib.sha256()

    class Sink:
        closed = False

        def write(self, data: Any) -> int:
            digest.update(data)
            return len(data)

        def flush(self) -> None: ...
        def close(self) -> None: ...

    # take() rebuilds every buffer, so that no offset or padding of a slice reaches the hash
    whole = table.replace_schema_metadata(None).combine_chunks()
    bare = pa.schema([pa.field(f.name, f.type) for f in whole.schema])
    whole = whole.take(pa.array(np.arange(whole.num_rows))).cast(bare) if whole.num_rows else whole.cast(bare)
    with pa.ipc.new_stream(pa.PythonFile(Sink(), "w"), bare) as writer:
        writer.write_table(whole.combine_chunks())
    return digest.hexdigest()[:16]
