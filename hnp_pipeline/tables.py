"""Tables on disk: Parquet, written whole to a temporary name, synced, renamed. And their content hash."""

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnp_pipeline import disk
from hnp_pipeline.errors import StepError, StudyError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`: when the body succeeds it is synced and becomes `path`, else it is removed.

    A reader of `path` sees the old file or the new one, whole, whenever the process is killed. The temporary name
    tells the process, so that `leftovers.sweep` knows a dead one's.

    Raises:
        StepError: the disk is full, or the folder may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o600)
            temporary.replace(path)
            sync_directory(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the disk's refusal to write the file or folder `path` within into a message that says what to do.

    Raises:
        StepError: the disk is full, or it may not be written.
    """
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        of = Path(os.fsdecode(error.filename)) if isinstance(error, OSError) and error.filename else path
        ours = path.is_relative_to(of) or of.is_relative_to(path) or of.name.startswith(f".{path.name}.")
        if ours and (text := disk.told(error, path)):
            raise StepError(text) from error
        raise


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A folder below `directory` for what is in the making, removed at the end.

    Raises:
        StepError: the disk is full, or the folder may not be written.
    """
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{os.getpid()}-", suffix=".tmp", dir=directory) as folder:
            yield Path(folder)


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
        StepError: it is damaged.
    """
    with reading(path):
        return pq.read_table(path, columns=columns, partitioning=None)


def read_kept(path: Path) -> pa.Table | None:
    """A table that only saves work: None where there is none, or it is damaged, so that the work is done again."""
    try:
        return read_table(path)
    except (FileNotFoundError, StepError):
        return None


def batches(path: Path, rows: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The table at `path`, so many rows at a time, for one that need not fit in memory.

    Raises:
        FileNotFoundError: there is no such table yet.
        StepError: it is damaged.
    """
    with reading(path), pq.ParquetFile(path) as file:
        yield from file.iter_batches(rows, columns=columns)


def require_table(path: Path) -> None:
    """Before another reader takes it, which would not say what to do.

    Raises:
        FileNotFoundError: there is no such table yet.
        StepError: it is damaged.
    """
    with reading(path):
        pq.read_schema(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a reader says of a file that is no whole table into a message that says what to do.

    Raises:
        StepError: the table at `path`, which is read within, is damaged.
    """
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and (error.errno or type(error) is not OSError):
            raise  # the system's own word: not there, not allowed
        raise StepError(
            f"{path} is damaged: bring it back from a copy, or materialise again what makes it"
        ) from None


def sort_file(path: Path, column: str) -> None:
    """Sort the table at `path` in place, on disk where it does not fit in memory. Not atomic: for a file being made."""
    unsorted = path.with_name(path.name + ".unsorted")
    path.rename(unsorted)
    try:
        config: dict[str, Any] = {
            "temp_directory": str(path.parent),
            "memory_limit": "1GB",
            "preserve_insertion_order": False,
        }
        with duckdb.connect(config=config) as db, pq.ParquetFile(unsorted) as file:
            rows = db.read_parquet(str(unsorted), hive_partitioning=False).order(column)
            with pq.ParquetWriter(path, file.schema_arrow, compression="zstd") as writer:
                for batch in rows.to_arrow_reader(_WINDOW):
                    writer.write_table(pa.Table.from_batches([batch]).cast(file.schema_arrow))
    finally:
        unsorted.unlink()


def write_text(text: str, path: Path) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def content_hash(table: pa.Table) -> str:
    """A hash (16 hex digits) of names, types and values in their order; not of chunks, metadata or file."""
    return _hash(table.schema, table.to_batches())


def content_hash_of(path: Path) -> str:
    """The `content_hash` of the table at `path`, which need not fit in memory.

    Raises:
        FileNotFoundError: there is no such table yet.
        StepError: it is damaged.
    """
    with reading(path), pq.ParquetFile(path) as file:
        return _hash(file.schema_arrow, file.iter_batches(_WINDOW))


_WINDOW = 65_536  # rows hashed at once


def _hash(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> str:
    digest = hashlib.sha256()

    class Sink:
        closed = False

        def write(self, data: Any) -> int:
            digest.update(data)
            return len(data)

        def flush(self) -> None: ...
        def close(self) -> None: ...

    bare = pa.schema([pa.field(f.name, f.type) for f in schema])
    with pa.ipc.new_stream(pa.PythonFile(Sink(), "w"), bare) as writer:
        for window in _windows(batches):
            # take() rebuilds every buffer, so that no offset or padding of a slice reaches the hash
            whole = window.take(pa.array(np.arange(window.num_rows))).replace_schema_metadata(None)
            writer.write_table(whole.cast(bare).combine_chunks())
    return digest.hexdigest()[:16]


def _windows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of `_WINDOW`, the last one shorter, however they were cut."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= _WINDOW:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, _WINDOW)
            waiting, rows = table.slice(_WINDOW).to_batches(), rows - _WINDOW
    if rows:
        yield pa.Table.from_batches(waiting)
