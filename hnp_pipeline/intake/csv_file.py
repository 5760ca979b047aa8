"""CSV as hospitals export it: every cell as text, every row with its number, in any of three encodings."""

import codecs
import csv
import io
import uuid
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from hnp_pipeline.intake.broken import BrokenFileError

_BLOCK = 32 << 20  # bytes parsed at once; a row may not be longer
_FIELDS = 16_384  # of a row; Excel's limit
_OPEN = "has a quotation mark that is opened and never closed, so that the rows after it became one value"


def read_csv(path: Path, encoding: str) -> tuple[list[str], Iterator[pa.Table]]:
    """The header (the first row that is not blank), and the rows after it.

    A row with fewer fields than the header is filled with blanks; surplus fields must be blank.

    Returns:
        the header, and tables of `row` (int64; row 1 follows the header, blank rows are numbered) and text
        columns f0, f1, …, one for each field of the header. Blank rows may be among them.

    Raises:
        BrokenFileError: here or on the way: not in this encoding, NUL bytes, a quotation mark that is never
            closed, a row with more fields than the header.
    """
    skipped, header = _header(path, encoding)
    return header, _rows(path, encoding, skipped + 1, len(header))


class _Ragged(NamedTuple):
    """A row with fewer or more fields than the header."""

    number: int  # in the file, the header counted
    fields: int
    text: str


def _header(path: Path, encoding: str) -> tuple[int, list[str]]:
    """The number of blank rows before the header, and its fields."""
    with _Checked(path, encoding) as checked:
        text = checked.read(1 << 20).decode("utf-8", "ignore")  # the cut may fall inside a character
    try:
        for skipped, fields in enumerate(csv.reader(io.StringIO(text, newline=""))):
            if len(fields) > _FIELDS:
                raise BrokenFileError(f"has {len(fields):,} fields in its header")
            if any(f.strip() for f in fields):
                return skipped, fields
    except csv.Error:
        raise BrokenFileError("has no header that can be read") from None
    raise BrokenFileError("is empty; it needs a header")


def _rows(path: Path, encoding: str, before: int, width: int) -> Iterator[pa.Table]:
    """The rows after the first `before`, numbered from 1."""
    # After the end of the file comes a row of our own. If the parser does not see it as a row, a quotation
    # mark stands open, and everything after it has become one value.
    mark = uuid.uuid4().hex
    names = _names(width)
    ragged: list[_Ragged] = []  # that the parser came upon and that were not handed on
    seen = 0  # rows of the file, the header too, that were handed on
    closed = False

    def keep(row: arrow_csv.InvalidRow) -> str:
        nonlocal closed
        if row.text.startswith(mark):
            closed = True
        elif mark not in row.text:
            ragged.append(_Ragged(row.number, row.actual_columns, row.text))
        return "skip"

    checked = _Checked(path, encoding, end=f"\n{mark}{',' * width}".encode())
    try:
        with (
            checked,
            arrow_csv.open_csv(
                pa.PythonFile(checked, "r"),
                # without threads, since only then are rows numbered
                arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=names),
                arrow_csv.ParseOptions(
                    newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=keep
                ),
                _as_text(names),
            ) as reader,
        ):
            for batch in reader:
                apart = np.array(sorted(r.number for r in ragged), np.int64)
                numbers = seen + 1 + np.arange(batch.num_rows + len(apart))
                numbers = numbers[~np.isin(numbers, apart)][: batch.num_rows]
                seen = int(numbers[-1]) if len(numbers) else seen
                apart = apart[apart > seen]
                seen += int(np.cumprod(apart == seen + 1 + np.arange(len(apart))).sum())
                table = pa.table([pa.array(numbers - before), *batch.columns], ["row", *names])
                yield (
                    table.filter(pc.greater(table["row"], 0))
                    if len(numbers) and numbers[0] <= before
                    else table
                )
                yield from _filled([r for r in ragged if r.number <= seen], before, names)
                ragged = [r for r in ragged if r.number > seen]
    except pa.ArrowInvalid:
        raise BrokenFileError(
            f"cannot be split into rows after row {max(0, seen - before)}: a quotation mark that is never "
            f"closed, or a row longer than {_BLOCK >> 20} MB"
        ) from None
    if not closed:
        raise BrokenFileError(_OPEN)
    yield from _filled(ragged, before, names)


def _filled(ragged: list[_Ragged], before: int, names: list[str]) -> Iterator[pa.Table]:
    """Rows with too few or too many fields, brought to `names`."""
    ragged.sort(key=lambda r: (r.fields, r.number))
    for count, group in groupby(ragged, key=lambda r: r.fields):
        rows = list(group)
        if count > _FIELDS:
            raise BrokenFileError(f"row {rows[0].number - before} has {count:,} fields")
        theirs = _names(count)
        table = arrow_csv.read_csv(
            pa.BufferReader("\n".join(r.text for r in rows).encode()),
            arrow_csv.ReadOptions(use_threads=False, block_size=1 << 30, column_names=theirs),
            arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            _as_text(theirs),
        )
        numbers = pa.array([r.number - before for r in rows])
        for extra in theirs[len(names) :]:
            surplus = numbers.filter(pc.not_equal(pc.utf8_trim_whitespace(table[extra]), "").combine_chunks())
            if len(surplus):
                raise BrokenFileError(
                    f"row {surplus[0]} has {count} fields where the header has {len(names)}: "
                    "a value with a comma needs quotation marks"
                )
        blank = pa.nulls(len(numbers), pa.string())
        filled = pa.table([numbers, *(table[n] if n in theirs else blank for n in names)], ["row", *names])
        yield filled.filter(pc.greater(filled["row"], 0))


def _names(width: int) -> list[str]:
    return [f"f{i}" for i in range(width)]


def _as_text(names: list[str]) -> arrow_csv.ConvertOptions:
    return arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)


class _Checked(io.RawIOBase):
    """A file as UTF-8, without a byte-order mark; raises BrokenFileError where it is not in its encoding."""

    def __init__(self, path: Path, encoding: str, end: bytes = b""):
        self._path, self._encoding, self._end = path, encoding, end
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._bytes, self._lines = 0, 0
        self._file = path.open("rb")
        self._skip_mark()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        text = self._decoded(chunk)
        if not chunk:
            rest, self._end = self._end, b""
            return rest
        # an empty answer would mean the end, so a chunk that completes no character is read on
        return chunk if self._encoding == "utf-8" else text.encode() or self.read(size)

    def _decoded(self, chunk: bytes) -> str:
        pending = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            before = chunk[: max(0, error.start - len(pending))]
            self._refuse(self._bytes - len(pending) + error.start, self._lines + before.count(b"\n"))
        if (at := chunk.find(b"\0")) >= 0:
            line = self._lines + chunk[:at].count(b"\n") + 1
            raise BrokenFileError(
                f"has a NUL byte (byte {self._bytes + at + 1}, line {line}), so it is no text"
            )
        self._bytes += len(chunk)
        self._lines += chunk.count(b"\n")
        return text

    def _skip_mark(self) -> None:
        start = self._file.read(3)
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise BrokenFileError(f"is in UTF-16, not in {self._encoding}; save it as CSV UTF-8")
        if self._encoding != "utf-8" and (start == codecs.BOM_UTF8 or _is_korean_utf8(self._path)):
            raise BrokenFileError(f"is in UTF-8, not in {self._encoding} as collection.toml says")
        self._file.seek(3 if start == codecs.BOM_UTF8 else 0)
        self._bytes = self._file.tell()

    def _refuse(self, byte: int, line: int) -> None:
        fits = [e for e in ("utf-8", "cp949") if e != self._encoding and decodes(self._path, e)]
        advice = (
            f'it can be read as {fits[0]}: write encoding = "{fits[0]}" in collection.toml'
            if fits
            else "save it anew"
        )
        raise BrokenFileError(
            f"is not in {self._encoding}: byte {byte + 1} (line {line + 1}) cannot be; {advice}"
        ) from None


def decodes(path: Path, encoding: str) -> bool:
    """Can the whole file be read in this encoding?"""
    try:
        return all(text for text in _texts(path, encoding))
    except UnicodeDecodeError:
        return False


def _is_korean_utf8(path: Path) -> bool:
    """Is this UTF-8 with Hangul? CP949 never looks like that, though UTF-8 can at times be read as CP949."""
    try:
        return max((max(set(text)) >= "가" for text in _texts(path, "utf-8")), default=False)
    except UnicodeDecodeError:
        return False


def _texts(path: Path, encoding: str) -> Iterator[str]:
    with path.open(encoding=encoding, newline="") as file:
        while text := file.read(_BLOCK):
            yield text
