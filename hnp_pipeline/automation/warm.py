"""Preloaded once by the fork server: what every run of `hnp run` needs is imported, and the code hashed, before a fork."""

import atexit
import importlib
import os
import threading

from hnp_pipeline.fingerprint import source_hash

for name in (
    "dagster._core.storage.base_storage",  # with SQLAlchemy and Alembic; Dagster imports it with its first instance
    "torch",
    "mlflow",
    "mlflow.tracking",
    "matplotlib.figure",
    "hnp_pipeline.training.engine",
    "hnp_pipeline.imaging.cache",
    "hnp_pipeline.imaging.inspection",
    "hnp_pipeline.report.study_report",
    "hnp_pipeline.explanation.explain",
    "hnp_pipeline.evaluation.test_evaluation",
    "hnp_pipeline.definitions",
):
    importlib.import_module(name)

source_hash(".")

# The server ends at once, after the command: at Python's own end nanobind, which DuckDB is built with, would print pages
# on what it holds to the terminal. Runs that were forked from it end in their own way.
atexit.register(os._exit, 0)

# A thread would not survive the fork, but what it holds would.
assert threading.active_count() == 1, threading.enumerate()
