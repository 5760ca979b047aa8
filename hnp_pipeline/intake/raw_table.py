"""A raw table in any of its forms: columns found by name, rows by number, every cell as text."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.errors import StudyError, TableError
from hnp_pipeline.intake.broken import BrokenFileError
from hnp_pipeline.intake.cells import as_text, is_blank, tidied, trimmed, without_errors
from hnp_pipeline.intake.collection import OUR_COLUMNS, Collection
from hnp_pipeline.intake.csv_file import read_csv
from hnp_pipeline.intake.parquet_file import read_parquet
from hnp_pipeline.intake.xlsx_file import read_xlsx

_KEPT_AS_IT_IS = ("file", "hospital")  # trimmed only: names in a file system, and in a report
_ANY_TEXT = ("patient_id", "hospital", "file", "reading")  # where an error of Excel's would pass for a value
_TEXTS = ("reading",)  # a report's own line breaks and indents count


def open_table(collection: Collection, name: str) -> "RawTable | None":
    """A table of a collection, or None where it was not delivered.

    Raises:
        TableError: it lies there in two forms, cannot be read, or collection.toml cannot be.
    """
    path = collection.table(name)
    where = f"collection {collection.name}: table {name}"
    return RawTable(path, where, collection.encoding, collection.columns) if path else None


class RawTable:
    """One table of a collection, opened: its header read, its rows not yet."""

    def __init__(
        self, path: Path, where: str, encoding: str = "utf-8", names: Mapping[str, str] | None = None
    ):
        """Read the header.

        Args:
            path: the .csv, .xlsx or .parquet file.
            where: what to call the table in messages.
            encoding: of a CSV file.
            names: the names that our columns have in this table, where they have others (ours -> theirs).

        Raises:
            TableError: the file cannot be read, or one of our columns stands there twice.
        """
        self._where = f"{where} ({path.name})"
        self._theirs = dict(names or {})
        with self._told():
            match path.suffix.lower():
                case ".csv":
                    self._header, self._batches = read_csv(path, encoding)
                case ".xlsx":
                    self._header, self._batches = read_xlsx(path)
                case _:
                    self._header, self._batches = read_parquet(path)
        self._names_columns = path.suffix.lower() == ".parquet"  # no first row that may be none of a header
        self._keys = [_key(name) for name in self._header]

    @property
    def where(self) -> str:
        """What to call the table in a message."""
        return self._where

    def has(self, column: str) -> bool:
        """Is one of our columns there?"""
        return self._position(column) is not None

    def require(self, columns: Sequence[str]) -> None:
        """Make sure that all these columns are there.

        Raises:
            TableError: naming those that are not, and what was found.
        """
        if missing := [c for c in columns if not self.has(c)]:
            raise TableError(
                f"{self._where} has no column {', '.join(map(self._named, missing))}; {self.found()}"
            )

    def refuse(self, problem: str) -> TableError:
        """The error that says what is wrong with this table."""
        return TableError(f"{self._where} {problem}; {self.found()}")

    def found(self) -> str:
        """The columns there are, for a message; but where few are ours, the first row may hold what is a patient's."""
        ours = {_key(name) for name in (*OUR_COLUMNS, *self._theirs.values())}
        if ours.isdisjoint(self._keys) and self._names_columns:
            return f"none of its {len(self._header)} columns is ours"
        if ours.isdisjoint(self._keys):
            return f"none of the {len(self._header)} fields of its first row is our column: is it the header?"
        names = [" ".join(n.split())[:40] for n in self._header if n.strip()]
        known = [name for name in names if _key(name) in ours]
        most = 2 * len(known) > len(names)
        shown = [n for n in names if n in known or _is_name(n, most and len(names) > 2)][:30]
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        return f"columns found: {', '.join(shown)}{more}"

    def rows(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The rows that are not blank, in batches: `row` (int64), and these columns as text, null if blank.

        A column that is absent is null throughout.

        Raises:
            TableError: on the way: the file is broken.
        """
        positions = {c: self._position(c) for c in columns}
        for batch in self._guarded():
            cells = {c: pa.nulls(len(batch), pa.string()) if at is None else self._cells(batch, c, at)
                     for c, at in positions.items()}  # fmt: skip
            table = pa.table({"row": batch["row"], **cells})
            yield table.filter(pc.invert(_blank(table, batch)))

    def _cells(self, batch: pa.Table, column: str, at: int) -> pa.Array:
        values = batch[f"f{at}"]
        try:
            texts = as_text(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
        except pa.ArrowException:
            raise TableError(
                f"{self._where}: column {self._named(column)} is {values.type}, which is no text"
            ) from None
        if column in _ANY_TEXT:
            texts = without_errors(texts)
        if column in _TEXTS:
            return pc.if_else(is_blank(texts), pa.scalar(None, pa.string()), texts)
        return trimmed(texts) if column in _KEPT_AS_IT_IS else tidied(texts)

    def _position(self, column: str) -> int | None:
        """Where one of our columns stands: under the name collection.toml gives it, else under our own."""
        for name in dict.fromkeys((self._theirs.get(column, column), column)):
            at = [i for i, key in enumerate(self._keys) if key == _key(name)]
            if len(at) > 1:
                raise self.refuse(f"has column {self._named(column)} {len(at)} times")
            if at:
                return at[0]
        return None

    def _named(self, column: str) -> str:
        return f"{column} ({self._theirs[column]} in collection.toml)" if column in self._theirs else column

    def _guarded(self) -> Iterator[pa.Table]:
        while True:
            with self._told():
                batch = next(self._batches, None)
            if batch is None:
                return
            yield batch

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever a reader says, the user hears which table it is, and nothing of what stands in it."""
        try:
            yield
        except StudyError:
            raise
        except BrokenFileError as error:
            problem = str(error)
        except OSError as error:
            problem = f"cannot be read: {error.strerror or 'the file is broken'}"
        except Exception as error:
            problem = (
                f"cannot be read: the file is broken, encrypted or of another format ({type(error).__name__})"
            )
        else:
            return
        raise TableError(f"{self._where} {problem}")


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip(" \t\r\n\v\f\ufeff\u200b").casefold()


def _blank(ours: pa.Table, batch: pa.Table) -> pa.Array:
    """Which rows hold nothing at all, in our columns or in any other."""
    nothing = _all(pc.is_null(column) for column in ours.columns[1:])
    if pc.any(nothing).as_py():
        at = pc.indices_nonzero(nothing)
        rest = _all(is_blank(column).take(at) for column in batch.columns[1:])
        nothing = pc.replace_with_mask(nothing, nothing, rest)
    return nothing


def _all(masks: Iterable[pa.Array]) -> pa.Array:
    return reduce(pc.and_, (m.combine_chunks() if isinstance(m, pa.ChunkedArray) else m for m in masks))


def _is_name(text: str, of_header: bool) -> bool:
    """Whether a text names a column rather than a patient; a row that is a header surely may name it in any letters."""
    return not any(c.isdigit() for c in text) if of_header else re.fullmatch("[a-z_]+", text) is not None
