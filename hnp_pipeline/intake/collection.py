"""A collection: one delivery of data, one folder (design 3), and how its collection.toml says to read it."""

import codecs
import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, field_validator

from hnp_pipeline.errors import SettingsError, TableError
from hnp_pipeline.study import Section
from hnp_pipeline.vocabulary import LEVELS, TABLES_IN, VIEWS

FORMATS = (".csv", ".xlsx", ".parquet")
_DONE = "_SUCCESS"

# Every column that one of the tables can have.
OUR_COLUMNS = {
    "patient_id", "hospital",
    "study_date", "view", "file", "birth_date", "age", "sex",
    "mri_date", "body_part", "reading", *LEVELS,
    "surgery_date", "site",
}  # fmt: skip
_ENCODINGS = ("utf-8", "cp949", "euc_kr")  # as Python's codecs name them


@dataclass(frozen=True)
class Collection:
    """One delivery of data.

    A folder link below `raw` is followed, since whoever chose `raw` put it there; a table that is a link must
    stay inside the folder. `problem` is what is wrong with collection.toml: every reader raises it.
    """

    name: str
    folder: Path
    role: str | None = None  # None: not stated
    encoding: str = "utf-8"  # of the CSV files
    columns: dict[str, str] = field(default_factory=dict)  # ours -> theirs
    views: dict[str, str] = field(default_factory=dict)  # theirs -> ours
    complete: bool = False  # has _SUCCESS
    problem: str | None = None

    def table(self, name: str) -> Path | None:
        """Where a table lies, or None where it was not delivered.

        Raises:
            TableError: collection.toml cannot be used, the table lies there in two forms, or is a link out of
                the folder.
        """
        if self.problem:
            raise TableError(self.problem)
        return find_table(self.folder, name, f"collection {self.name}")


def find_collections(raw: Path) -> list[Collection]:
    """Every folder of `raw` that holds one of the three tables, by name.

    A bad collection.toml does not stop the others: it stands in `problem`.

    Raises:
        SettingsError: `raw` is no folder that can be read, or holds no collection, or one whose name is no text.
    """
    try:
        folders = sorted(p for p in raw.iterdir() if p.is_dir() and not p.name.startswith("."))
        if garbled := [f.name for f in folders if _is_collection(f) and not _is_text(f.name)]:
            shown = os.fsencode(garbled[0]).decode("utf-8", "replace")
            raise SettingsError(
                f"{raw} holds a collection whose folder's name is not UTF-8 ({shown}): rename it"
            )
        found = [_opened_or_not(folder) for folder in folders if _is_collection(folder)]
    except OSError as error:
        raise SettingsError(f"the raw folder {raw} cannot be read: {error.strerror}") from None
    if not found:
        tables = ", ".join(TABLES_IN)
        raise SettingsError(
            f"{raw} holds no collection: no folder in it has a table {tables} as .csv, .xlsx or .parquet"
        )
    return found


def open_collection(folder: Path) -> Collection:
    """The collection in `folder`, as its collection.toml says.

    Raises:
        TableError: collection.toml is not TOML, or has an unknown key or a value that cannot be used.
    """
    where = f"collection {folder.name}, collection.toml"
    path = folder / "collection.toml"
    complete = (folder / _DONE).exists()
    if not path.is_file():
        return Collection(folder.name, folder, complete=complete)
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
        stated = _Stated.model_validate(content)
    except OSError as error:
        raise TableError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TableError(f"{where}: is not UTF-8 (byte {error.start + 1}); save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TableError(f"{where}: is not TOML: {error}") from None
    except ValidationError as error:
        raise TableError(f"{where}: " + "; ".join(_told(dict(e)) for e in error.errors())) from None
    return Collection(
        folder.name, folder, stated.role, stated.encoding, stated.columns, stated.views, complete=complete
    )


def find_table(folder: Path, name: str, where: str) -> Path | None:
    """The one file of a table in `folder`, whatever the case of its name; None if there is none.

    Raises:
        TableError: two forms of the table, or a link that leads out of the folder.
    """
    found = [folder / entry for entry in _table_files(folder) if Path(entry).stem.lower() == name]
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise TableError(f"{where}: table {name} lies there {len(found)} times ({names}); keep one")
    if found and not found[0].resolve().is_relative_to(folder.resolve()):
        raise TableError(
            f"{where}: table {name} ({found[0].name}) is a link out of the folder; put the file itself there"
        )
    return found[0] if found else None


def fingerprint(folder: Path) -> str:
    """16 hex digits that change when anything delivered in `folder` does (names, sizes, times of change).

    `_SUCCESS` does not count: it says that a delivery is whole, not what it holds. Folders that are links are
    not entered, since their pictures lie outside the collection.
    """
    digest = hashlib.sha256()
    for line in sorted(_looks(folder, "")):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:16]


class _Stated(Section):
    """What collection.toml may say."""

    role: Literal["development", "test"] | None = None
    encoding: str = "utf-8"
    columns: dict[str, str] = {}
    views: dict[str, str] = {}

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name.removesuffix("-sig")
        except (LookupError, ValueError):
            name = ""
        if name not in _ENCODINGS:
            raise ValueError("must be utf-8, cp949 or euc-kr")
        return name

    @field_validator("columns")
    @classmethod
    def _ours(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(value) - OUR_COLUMNS):
            known = ", ".join(sorted(OUR_COLUMNS))
            raise ValueError(f"{', '.join(unknown)} is none of our columns ({known}); ours = theirs")
        return value

    @field_validator("views")
    @classmethod
    def _six(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(v for v in value.values() if v.strip().upper() not in VIEWS):
            raise ValueError(f"{', '.join(unknown)} is none of {', '.join(VIEWS)}; theirs = ours")
        return {theirs: ours.strip().upper() for theirs, ours in value.items()}


def _told(error: dict[str, object]) -> str:
    where = ".".join(str(part) for part in error["loc"])  # type: ignore[attr-defined]
    return f"{where} is not a key" if error["type"] == "extra_forbidden" else f"{where}: {error['msg']}"


def _opened_or_not(folder: Path) -> Collection:
    try:
        return open_collection(folder)
    except TableError as error:
        return Collection(folder.name, folder, complete=(folder / _DONE).exists(), problem=str(error))


def _is_collection(folder: Path) -> bool:
    return any(Path(entry).stem.lower() in TABLES_IN for entry in _table_files(folder))


def _table_files(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:  # is_file: a pipe named xrays.csv would keep us waiting for ever
            return sorted(e.name for e in entries if Path(e.name).suffix.lower() in FORMATS and e.is_file())
    except PermissionError:
        return []


def _looks(folder: Path, prefix: str) -> Iterator[str]:
    """A line on each file below `folder`: its relative path, size, time of change."""
    try:
        entries = os.scandir(folder)
    except OSError as error:
        yield f"{prefix}: {error.errno}"
        return
    with entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _looks(Path(entry.path), name + "/")
            elif name != _DONE:
                yield name + _look(entry)


def _look(entry: "os.DirEntry[str]") -> str:
    try:
        stat = entry.stat()
    except OSError:  # a link to nowhere, or gone since
        return ": gone"
    return f": {stat.st_size} {stat.st_mtime_ns}"


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8, as archives packed in Korean code pages are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
