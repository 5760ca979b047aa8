"""A home that was moved or copied: MLflow keeps the full path of every artifact, so its database is told the new one.

Else old runs would have lost their artifacts, and new ones would be written where the home was.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

_PATHS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def settle(database: Path, artifacts: Path) -> None:
    """Let what MLflow's database says of a home's artifacts be `artifacts`, their folder; most often it is."""
    with closing(sqlite3.connect(database, timeout=30)) as db, db:
        # the end of the path is that of `artifacts`: an experiment kept elsewhere on purpose stays there
        ending = "/" + "/".join(artifacts.parts[-2:])
        said = db.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (old,) in said:
            if old != str(artifacts) and old.startswith("/") and old.endswith(ending):
                for table, column in _PATHS.items():
                    db.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                        f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (str(artifacts), len(old) + 1, old, len(old) + 1, f"{old}/"),
                    )
