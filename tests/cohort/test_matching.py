"""Each rule's edges, written out; test_matching_property.py has the rest."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cohort_reference import DAY, Row, reading, surgery, write_sources, xray

from hnp_pipeline import schemas, study
from hnp_pipeline.cohort.matching import CohortTables, Sources, build_cohort, write_cohort
from hnp_pipeline.errors import StepError
from hnp_pipeline.vocabulary import LEVELS, Reason


def after(days: int) -> datetime.date:
    return DAY + datetime.timedelta(days)


@pytest.fixture
def verdicts(tmp_path: Path) -> Any:
    """image_id → reason, or for those in the cohort (mri_date, labels)."""

    def judged(xrays: list[Row], readings: list[Row], *rest: Any, **options: Any) -> dict[str, Any]:
        return of(build_cohort(write_sources(tmp_path, xrays, readings, *rest, **options), study.Cohort()))

    return judged


def of(tables: CohortTables) -> dict[str, Any]:
    found: dict[str, Any] = {r["image_id"]: r["reason"] for r in tables.exclusions.to_pylist()}
    for r in tables.cohort.to_pylist():
        found[r["image_id"]] = (r["mri_date"], "".join(str(r[level]) for level in LEVELS))
    return found


@pytest.mark.parametrize("days", [90, -90, 0])
def test_ninety_days_serve(verdicts: Any, days: int) -> None:
    assert verdicts([xray()], [reading(mri_date=after(days))]) == {"first/1": (after(days), "00010")}


@pytest.mark.parametrize("days", [91, -91])
def test_ninety_one_do_not(verdicts: Any, days: int) -> None:
    assert verdicts([xray()], [reading(mri_date=after(days))]) == {"first/1": "outside_interval"}


def test_the_nearest_serves_and_of_two_the_later(verdicts: Any) -> None:
    two = [reading(mri_date=after(5), labels="00001"), reading(mri_date=after(-5), labels="10000")]
    assert verdicts([xray()], two) == {"first/1": (after(5), "00001")}
    assert verdicts([xray()], [*two, reading(mri_date=after(-4), labels="01000")]) == {
        "first/1": (after(-4), "01000")
    }


def test_two_readings_on_one_day_count_as_one(verdicts: Any) -> None:
    day = [reading(labels="1000-"), reading(labels="0001-", collection="second"), reading(labels="----0")]
    assert verdicts([xray()], day) == {"first/1": (DAY, "10010")}
    assert verdicts([xray()], day[:2]) == {"first/1": "unlabelled_reading"}


def test_a_day_is_lumbar_if_one_of_its_readings_is(verdicts: Any) -> None:
    """What the other reading of that day says about a level counts: they are one before anything is asked."""
    day = [reading(labels="00000"), reading(labels="00001", lumbar=False)]
    assert verdicts([xray()], day) == {"first/1": (DAY, "00001")}
    assert verdicts([xray()], day[1:]) == {"first/1": "non_lumbar_reading"}
    assert verdicts([xray()], [day[1], reading(labels="-0000")]) == {"first/1": (DAY, "00001")}


@pytest.mark.parametrize(
    "operated, blocked", [(-1, False), (0, True), (5, True), (10, True), (11, False), (None, True)]
)
@pytest.mark.parametrize("sign", [1, -1], ids=["x-ray first", "MRI first"])
def test_surgery_between(verdicts: Any, operated: int | None, blocked: bool, sign: int) -> None:
    found = verdicts(
        [xray()],
        [reading(mri_date=after(10 * sign))],
        [surgery(surgery_date=None if operated is None else after(operated * sign))],
    )
    assert found == {"first/1": "surgery_between" if blocked else (after(10 * sign), "00010")}


def test_another_surgery_or_patient_does_not_block(verdicts: Any) -> None:
    others = [surgery(lumbar_disc=False), surgery("q"), surgery("q", None)]
    assert verdicts([xray()], [reading()], others) == {"first/1": (DAY, "00010")}


def test_the_nearest_is_blocked_and_another_serves(verdicts: Any) -> None:
    readings = [reading(mri_date=after(3)), reading(mri_date=after(-60), labels="11111")]
    assert verdicts([xray()], readings, [surgery(surgery_date=after(2))]) == {
        "first/1": (after(-60), "11111")
    }


def test_the_study_period_and_the_birthday(verdicts: Any) -> None:
    dates = [(2009, 12, 31), (2010, 1, 1), (2021, 2, 28), (2021, 3, 1)]
    xrays = [xray(row=i, study_date=datetime.date(*d)) for i, d in enumerate(dates)]
    readings = [reading(mri_date=datetime.date(*d)) for d in dates]
    reasons = [isinstance(v, str) and v for v in verdicts(xrays, readings).values()]
    assert sorted(map(str, reasons)) == ["False", "False", "outside_study_period", "outside_study_period"]
    assert (
        verdicts([xray(age=18.0), xray(row=2, age=17.99, under_age=True)], [reading()])["first/2"]
        == "under_age"
    )


def test_conflicts_over_collections(verdicts: Any) -> None:
    xrays = [
        xray(row=1, birth_digest="one", sex="F"),
        xray("second", 1, birth_digest="two"),
        xray(row=2, patient="q", sex="F"),
        xray("second", 2, "q", sex=None),
        xray(row=3, patient="r", sex="F"),
        xray("second", 3, "r", sex="M", missing="view: blank"),
    ]
    found = verdicts(xrays, [reading(), reading("q"), reading("r")])
    assert [found[k] for k in ("first/1", "second/1", "first/3")] == ["identity_conflict"] * 3
    assert found["first/2"] == (DAY, "00010") and found["second/2"] == "in_development"
    assert found["second/3"] == "missing_data"


def test_one_image_under_two_patients(verdicts: Any) -> None:
    xrays = [
        xray(row=1, sha256="same"),
        xray("second", 1, "q", sha256="same"),
        xray(row=2),  # the patient's other image stays
        xray(row=3, patient="r", sha256="broken", unreadable="truncated"),
        xray(row=4, patient="s", sha256="broken", unreadable="truncated"),
        xray(row=5, patient=None, sha256="mine"),  # no patient is no second patient
        xray(row=6, patient="t", sha256="mine"),
    ]
    found = verdicts(xrays, [reading(), reading("q"), reading("t")])
    assert found["first/1"] == found["second/1"] == "identity_conflict"
    assert found["first/2"] == found["first/6"] == (DAY, "00010")
    assert found["first/3"] == found["first/4"] == "unreadable_image"


def test_an_unreadable_copy_is_under_no_one(verdicts: Any) -> None:
    """As a file outside the folder: its bytes stand elsewhere, but it was not let in."""
    xrays = [xray(row=1, sha256="same"), xray(row=2, sha256="same")]
    xrays.append(xray(row=3, patient="q", sha256="same", unreadable="outside the folder"))
    found = verdicts(xrays, [reading(), reading("q")])
    assert found == {"first/1": (DAY, "00010"), "first/2": "duplicate_image", "first/3": "unreadable_image"}


def test_the_image_of_one_who_withdrew_stays_out_under_another_id(verdicts: Any) -> None:
    xrays = [xray(sha256="same"), xray(row=2, patient="q", sha256="same"), xray(row=3, patient="q")]
    found = verdicts(xrays, [reading(), reading("q")], withdrawn=("p",))
    assert found == {"first/1": "withdrawn", "first/2": "identity_conflict", "first/3": (DAY, "00010")}


def test_duplicates(verdicts: Any) -> None:
    xrays = [
        xray(row=10, sha256="same"),
        xray(row=9, sha256="same"),
        xray(row=2, sha256="same", view=None),  # did not get this far
        xray("second", 1, sha256="same"),
    ]
    found = verdicts(xrays, [reading()])
    assert found["first/9"] == (DAY, "00010")
    assert found["first/10"] == found["second/1"] == "duplicate_image"
    assert found["first/2"] == "unknown_view"


def test_a_patient_in_both_collections(verdicts: Any) -> None:
    xrays = [xray(), xray("second", 1), xray(row=2, patient="q", view=None), xray("second", 2, "q")]
    found = verdicts(xrays, [reading(), reading("q", collection="second")])
    assert found["second/1"] == "in_development"
    assert found["second/2"] == (DAY, "00010")  # excluded from development, so free to be tested


def test_details_lead_to_the_row(tmp_path: Path) -> None:
    """Each reason once, in order."""
    xrays = [
        xray(row=1, patient="w"),
        xray(row=2, missing="study_date: 9999-99-99 is not a date"),
        xray(row=3, patient="c", birth_digest="one", sex="F", sha256="same"),
        xray(row=4, unreadable="truncated"),
        xray(row=5, view=None, view_found="AAAA-99"),
        xray(row=6, study_date=datetime.date(2009, 1, 2)),
        xray(row=7, age=17.99, under_age=True),
        xray(row=8, patient="n"),
        xray(row=9, patient="l"),
        xray(row=10, patient="u"),
        xray(row=11, patient="o"),
        xray(row=12, patient="s"),
        xray(row=13, sha256="twice"),
        xray(row=14, sha256="twice"),
        xray("second", 1),
        xray("second", 2, "c", birth_digest="two", sex="M"),
        xray("second", 3, "d", sha256="same"),
    ]
    readings = [
        reading(row=1),
        reading("l", lumbar=False, row=2),
        reading("u", labels="0000-", row=3),
        reading("u", labels="0000-", row=4, mri_date=after(1)),
        reading("o", mri_date=after(-112), row=5),
        reading("s", mri_date=after(10), row=6),
    ]
    sources = write_sources(
        tmp_path, xrays, readings, [surgery("s", after(9)), surgery("s", after(4))], ("w",)
    )
    found = build_cohort(sources, study.Cohort())
    details = {r["image_id"]: (r["reason"], r["detail"]) for r in found.exclusions.to_pylist()}
    assert details == {
        "first/1": ("withdrawn", "the patient withdrew"),
        "first/2": ("missing_data", "study_date: 9999-99-99 is not a date"),
        "first/3": (
            "identity_conflict",
            "two birth dates in first, second; two sexes in first, second; the same image under another patient: "
            "second/3",
        ),
        "first/4": ("unreadable_image", "truncated"),
        "first/5": ("unknown_view", "view found: AAAA-99"),
        "first/6": (
            "outside_study_period",
            "x-ray on 2009-01-02; the study runs from 2010-01-01 to 2021-02-28",
        ),
        "first/7": ("under_age", "17.9 years old on 2015-03-01"),
        "first/8": ("no_mri_reading", "no usable MRI reading in any collection"),
        "first/9": ("non_lumbar_reading", "1 MRI reading (mri_readings first/2), none of the lumbar spine"),
        "first/10": (
            "unlabelled_reading",
            "2 lumbar MRI readings (mri_readings first/3 …), none labelled at all five levels",
        ),
        "first/11": (
            "outside_interval",
            "nearest labelled lumbar reading is 112 days earlier (mri_readings first/5)",
        ),
        "first/12": ("surgery_between", "x-ray 2015-03-01, MRI 2015-03-11, surgery on 2015-03-05"),
        "first/14": ("duplicate_image", "another image of the same bytes: first/13"),
        "second/1": ("in_development", "the patient is in the development cohort: first/13"),
        "second/2": ("identity_conflict", "two birth dates in first, second; two sexes in first, second"),
        "second/3": ("identity_conflict", "the same image under another patient: first/3"),
    }
    assert {r for r, _ in details.values()} == {r.value for r in Reason}
    assert list(details) == [r["image_id"] for r in found.exclusions.to_pylist()]
    assert (
        list(details)[1:3] == ["first/2", "first/3"] and list(details)[9] == "first/10"
    )  # by number, not as text


def many(rows: int = 240) -> tuple[list[Row], list[Row]]:
    xrays = [xray(row=i, patient=f"p{i % 60}", birth_digest="b") for i in range(1, rows + 1)]
    readings = [reading(f"p{k}", labels=f"{k % 7 // 6}{k % 5 // 4}{k % 3 // 2}{k % 2}0") for k in range(60)]
    return xrays, readings


def test_folds_know_neither_row_order_nor_pseudonyms(tmp_path: Path) -> None:
    xrays, readings = many()
    one = build_cohort(write_sources(tmp_path / "1", xrays, readings), study.Cohort()).cohort
    renamed = [r | {"patient_key": r["patient_key"][::-1] + "x"} for r in xrays]
    numbered = [r | {"row": 1000 - r["row"], "image_id": f"first/{1000 - r['row']}"} for r in renamed]
    theirs = [r | {"patient_key": r["patient_key"][::-1] + "x"} for r in readings]
    two = build_cohort(
        write_sources(tmp_path / "2", numbered, theirs[::-1]), study.Cohort(), threads=1
    ).cohort
    folds = [dict(zip(t["sha256"].to_pylist(), t["fold"].to_pylist(), strict=True)) for t in (one, two)]
    assert folds[0] == folds[1] and set(folds[0].values()) == {0, 1, 2, 3}
    other = build_cohort(write_sources(tmp_path / "1", xrays, readings), study.Cohort(seed=1)).cohort
    assert other["fold"] != one["fold"]


def test_writing_gives_the_same_tables(tmp_path: Path) -> None:
    xrays, readings = many()
    xrays += [xray("second", 1, "p1"), xray("second", 2, "z")]
    readings.append(reading("z"))
    sources = write_sources(tmp_path / "first [2020] x=1*", xrays, readings, [surgery("p2")])
    built = build_cohort(sources, study.Cohort())
    paths = [tmp_path / "out's" / f"{name}.parquet" for name in ("cohort", "exclusions", "cohort_flow")]
    flow = write_cohort(sources, study.Cohort(), *paths, threads=1, memory_limit="500MB")
    for path, expected, columns in zip(
        paths,
        (built.cohort, built.exclusions, built.flow),
        (schemas.COHORT, schemas.EXCLUSIONS, schemas.COHORT_FLOW),
        strict=True,
    ):
        found = pq.read_table(path, partitioning=None)
        assert found.schema.remove_metadata().equals(schemas.schema(columns)), path.name
        assert found.equals(expected) and found.num_rows
        assert expected.schema.equals(schemas.schema(columns))
    assert flow.equals(built.flow)
    assert sorted(p.name for p in (tmp_path / "out's").iterdir()) == sorted(p.name for p in paths)


def test_nothing_in(tmp_path: Path) -> None:
    sources = write_sources(tmp_path, [], [], roles={"first": "development"})
    for given in (sources, Sources([], [], [], sources.withdrawn, sources.roles)):
        found = build_cohort(given, study.Cohort())
        assert found.cohort.num_rows == found.exclusions.num_rows == 0
        assert found.flow.num_rows == 30 and set(found.flow["images_remaining"].to_pylist()) == {0}


def test_without_surgeries_the_criterion_is_not_applied(tmp_path: Path) -> None:
    for surgeries, excluded in ((None, None), ([], 0)):
        sources = write_sources(tmp_path, [xray()], [reading()], surgeries)
        steps = {r["reason"]: r for r in build_cohort(sources, study.Cohort()).flow.to_pylist()[:15]}
        assert steps["surgery_between"]["images_excluded"] is excluded or excluded == 0
        assert steps["surgery_between"]["patients_excluded"] == excluded
        assert steps["surgery_between"]["images_remaining"] == 1


@pytest.mark.parametrize("roles", [{"first": "development"}, {"first": "development", "second": "testing"}])
def test_a_collection_without_a_role(tmp_path: Path, roles: dict[str, str]) -> None:
    sources = write_sources(tmp_path, [xray(), xray("second", 1)], [reading()])
    with pytest.raises(StepError, match=r"second|testing"):
        build_cohort(
            Sources(sources.radiographs, sources.readings, [], sources.withdrawn, roles), study.Cohort()
        )


def test_withdrawn_may_hold_nothing_and_nulls(tmp_path: Path) -> None:
    sources = write_sources(tmp_path, [xray(patient=None), xray(row=2)], [reading()])
    withdrawn = pa.table({"patient_key": pa.array([None], pa.string())})
    given = Sources(sources.radiographs, sources.readings, [], withdrawn, sources.roles)
    assert of(build_cohort(given, study.Cohort())) == {"first/1": "missing_data", "first/2": (DAY, "00010")}
