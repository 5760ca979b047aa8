"""Preloaded once by the fork server: what every run of `hnp run` needs is imported before the first fork."""

import atexit
import importlib
import os
import threading

for name in (
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

# The server ends at once, after the command: at Python's own end nanobind, which DuckDB is built with, would print pages
# on what it holds to the terminal. Runs that were forked from it end in their own way.
atexit.register(os._exit, 0)

# A thread would not survive the fork, but what it holds would.
assert threading.active_count() == 1, threading.enumerate()
