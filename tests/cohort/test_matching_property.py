"""The SQL against the plain reference on generated exports: few patients, few days, so that everything collides."""

import datetime
import os
import tempfile
from pathlib import Path

from cohort_reference import DAY, Row, count_flow, judge, reading, surgery, write_sources, xray
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hnp_pipeline import study
from hnp_pipeline.cohort.matching import build_cohort
from hnp_pipeline.vocabulary import HNP, LEVELS

ROLES = {"first": "development", "second": "test", "a": "test"}  # `a`: a test collection that sorts first
SETTINGS = study.Cohort(study_start=DAY, study_end=DAY + datetime.timedelta(20), interval_days=3)

days = st.integers(-1, 21).map(lambda n: DAY + datetime.timedelta(n))
near_days = st.integers(4, 10).map(lambda n: DAY + datetime.timedelta(n))
patients = st.sampled_from([f"p{k}" for k in range(1, 7)])


def mostly(usual: object, *rare: object) -> st.SearchStrategy:
    """`rare` values once in some thirty draws: Hypothesis favours the ends of a range, so they lie in its middle."""
    return st.integers(0, 30 * len(rare)).map(lambda n: rare[n // 30] if n % 30 == 17 else usual)


@st.composite
def xrays(draw: st.DrawFn) -> list[Row]:
    rows = []
    numbers = dict.fromkeys(ROLES, 0)
    for _ in range(draw(st.integers(0, 30))):
        collection = draw(st.sampled_from(sorted(ROLES)))
        numbers[collection] += draw(st.sampled_from([1, 1, 2, 9]))
        patient = draw(mostly("", None))
        patient = patient if patient is None else draw(patients)
        rows.append(
            xray(
                collection,
                numbers[collection],
                patient,
                birth_digest=draw(mostly(f"born {patient}", "another birth", None)),
                sex=draw(mostly("F", "M", None)),
                study_date=draw(st.one_of(near_days, near_days, days)),
                view=draw(mostly("AP", None)),
                under_age=draw(mostly(False, True)),
                missing="patient_id: blank" if patient is None else draw(mostly(None, "view: blank")),
                unreadable=draw(mostly(None, "truncated")),
                sha256=draw(mostly("", "x")) or f"{patient} {draw(st.integers(0, 9))}",
            )
        )
    return draw(st.permutations(rows))


labels = st.sampled_from(["00000", "10000", "00011", "0---0", "-1111", "10101"])
lumbar = st.sampled_from([True, True, True, False])


def many(rows: st.SearchStrategy, most: int) -> st.SearchStrategy:
    """Up to `most` rows, every number as likely; `st.lists` alone keeps them few."""
    return st.integers(0, most).flatmap(lambda n: st.lists(rows, min_size=n, max_size=n))


readings = many(st.builds(reading, patients, near_days, labels, lumbar), 24)
some_surgery = st.builds(surgery, patients, st.one_of(near_days, near_days, st.none()), lumbar)
surgeries = st.one_of(st.none(), *[many(some_surgery, 8)] * 4)
withdrawn = st.sets(st.sampled_from(["p1", "p9"]), max_size=1).map(tuple)


@settings(
    max_examples=int(os.environ.get("HNP_EXAMPLES", "50")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(xrays(), readings, surgeries, withdrawn)
def test_sql_agrees_with_the_reference(
    xrays: list[Row], readings: list[Row], surgeries: list[Row] | None, withdrawn: tuple[str, ...]
) -> None:
    expected = judge(xrays, readings, surgeries, withdrawn, ROLES, SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        sources = write_sources(Path(folder), xrays, readings, surgeries, withdrawn, ROLES)
        found = build_cohort(sources, SETTINGS, threads=1)

    included = found.cohort.to_pylist()
    excluded = found.exclusions.to_pylist()
    assert len(included) + len(excluded) == len(xrays)
    verdicts = {r["image_id"]: (r["reason"], None, None) for r in excluded} | {
        r["image_id"]: (None, r["mri_date"], tuple(r[level] for level in LEVELS)) for r in included
    }
    assert verdicts == expected
    for r in included:
        assert r["interval_days"] == (r["mri_date"] - r["xray_date"]).days
        assert r[HNP] == max(r[level] for level in LEVELS)
        assert r["split"] == ROLES[r["collection"]]
        assert (r["fold"] is not None) == (r["split"] == "development")
    assert all(r["detail"] for r in excluded)
    order = [(r["collection"], int(r["image_id"].split("/")[1])) for r in included]
    assert order == sorted(order)
    fold_of: dict[str, set[int]] = {}
    for r in included:
        fold_of.setdefault(r["patient_key"], set()).add(r["fold"])
    assert all(len(folds) == 1 for folds in fold_of.values())

    reasons = {image: verdict[0] for image, verdict in expected.items()}
    assert found.flow.to_pylist() == count_flow(xrays, reasons, ROLES, surgeries is not None)
