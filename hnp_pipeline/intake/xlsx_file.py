"""XLSX as hospitals export it: the first visible sheet, every cell as text, every row with its number."""

import datetime
import warnings
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from hnp_pipeline.intake.broken import BrokenFileError

_ROWS = 1_048_576  # Excel's limit
_BATCH = 65_536
_INFLATED = 4 << 30  # bytes; what a sheet of Excel's largest size holds stays below


def read_xlsx(path: Path) -> tuple[list[str], Iterator[pa.Table]]:
    """The header (the first row that is not blank), and the rows after it.

    Dates become ISO, numbers their shortest form (123.0 is 123), truth values 1 and 0; formulas stay the text
    that they are, since what Excel last made of them need not be in the file.

    What stands to the right of the header is left out.

    Returns:
        as `csv_file.read_csv`, without the blank rows.

    Raises:
        BrokenFileError: the file is larger than Excel allows. Others of openpyxl and zipfile: it is broken.
    """
    rows = enumerate(_rows(path), 1)
    for first, row in rows:
        header = [_text(v).strip() for v in row]
        if any(header):
            while not header[-1]:
                header.pop()
            return header, _batches(rows, first, len(header))
    raise BrokenFileError("is empty; it needs a header")


def _batches(rows: Iterator[tuple[int, tuple[Any, ...]]], header_row: int, width: int) -> Iterator[pa.Table]:
    # Cells come one by one from openpyxl: a loop over rows, at most a million.
    names = [f"f{i}" for i in range(width)]
    filled = ((number - header_row, row) for number, row in rows if any(v is not None for v in row))
    while batch := list(islice(filled, _BATCH)):
        columns = [[_text(row[i]) if i < len(row) else "" for _, row in batch] for i in range(width)]
        numbers = pa.array([n for n, _ in batch], pa.int64())
        yield pa.table([numbers, *(pa.array(c, pa.string()) for c in columns)], ["row", *names])


def _rows(path: Path) -> Iterator[tuple[Any, ...]]:
    import openpyxl  # half a second, and most exports are CSV

    with zipfile.ZipFile(path) as file:
        if sum(part.file_size for part in file.infolist()) > _INFLATED:
            raise BrokenFileError("unpacks to more than 4 GB; hand it in as CSV")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on styles and extensions that do not concern us
        book = openpyxl.load_workbook(path, read_only=True, data_only=False, keep_links=False)
        try:
            sheets = [s for s in book.worksheets if s.sheet_state == "visible"] or book.worksheets
            if not sheets:
                raise BrokenFileError("holds no sheet")
            sheets[0].reset_dimensions()  # what the file says of its own size can be wrong
            for number, row in enumerate(sheets[0].iter_rows(values_only=True), 1):
                if number > _ROWS:
                    raise BrokenFileError(f"numbers its rows beyond Excel's limit of {_ROWS:,}")
                yield row
        finally:
            book.close()


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return str(int(value))
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime():
            return value.isoformat(" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
