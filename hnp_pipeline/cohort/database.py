"""hnp.duckdb: the tables of the study to query, with comments and with views that answer the first questions."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from hnp_pipeline import schemas
from hnp_pipeline.tables import replacing, require_table


def build_database(tables: dict[str, Path], database: Path, threads: int | None = None) -> None:
    """Copy tables into a new database file that takes the place of `database`.

    Who has the old file open keeps it; who opens it finds the old or the new one, whole. What somebody wrote into the
    old one is lost with it.

    Args:
        tables: name → Parquet file, any of schemas.TABLES; a file that is not there is left out, and so are the views
            that need it.
        database: the file to replace.
        threads: at most so many; default every core.
    """
    config: dict[str, Any] = {"autoinstall_known_extensions": False} | (
        {"threads": threads} if threads else {}
    )
    with replacing(database) as temporary, duckdb.connect(temporary, config=config) as db:
        present = [name for name, path in tables.items() if path.is_file()]
        for name in present:
            require_table(tables[name])
            db.read_parquet(str(tables[name]), hive_partitioning=False).create(name)
            _comment(db, name)
        for view, meaning, query in _views():
            if _needs(query) <= set(present):
                db.execute(f"CREATE VIEW {view} AS {query}")
                db.execute(f"COMMENT ON VIEW {view} IS {_quoted(meaning)}")
    # what a reader wrote beside the old file: DuckDB would refuse to open the new one with it
    database.with_name(f"{database.name}.wal").unlink(missing_ok=True)


def _comment(db: duckdb.DuckDBPyConnection, name: str) -> None:
    meaning, columns = schemas.TABLES[name]
    db.execute(f"COMMENT ON TABLE {name} IS {_quoted(meaning)}")
    for column in columns:
        db.execute(f'COMMENT ON COLUMN {name}."{column.name}" IS {_quoted(column.meaning)}')


def _views() -> list[tuple[str, str, str]]:
    """Name, comment and query of each view in views.sql."""
    script = files(__package__).joinpath("views.sql").read_text(encoding="utf-8")
    return re.findall(r"^-- name: (\w+)\n-- comment: (.+)\n([^;]+);$", script, flags=re.MULTILINE)


def _needs(query: str) -> set[str]:
    """The study's tables that a query names."""
    return set(re.findall(r"\w+", query)) & schemas.TABLES.keys()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
