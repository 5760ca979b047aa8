"""parsing.sql: dates, ages, sexes, labels, shapes, words."""

import datetime
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnp_pipeline.intake.database import private_database

DAY = datetime.date(2020, 3, 1)


_DATABASE = private_database(b"k")


def _ask(expression: str, values: Sequence[Any]) -> list[Any]:
    query = f"SELECT {expression} FROM unnest(?) WITH ORDINALITY t(t, n) ORDER BY n"
    return [row[0] for row in _DATABASE.execute(query, [values]).fetchall()]


@pytest.mark.parametrize(
    "time",
    ["", " 10:20", " 10:20:30", "T10:20", "T10:20:30.123456", "T10:20:30Z", " 10:20:30.0", " 1:02", " 10:20:30+09:00",
     " 오전 10:20", " 10:20 PM", "  00:00:00", " 23:59:59,999"],
)  # fmt: skip
@pytest.mark.parametrize(
    "day", ["2020-03-01", "2020/03/01", "2020.03.01", "2020-3-1", "2020. 3. 1.", "2020.3.1", "20200301"]
)
def test_dates_that_are_read(day, time):
    if day == "20200301" and ("오전" in time or "PM" in time or time == " 1:02"):
        pytest.skip("not a form of the compact date")
    assert _ask("as_date(t)", [day + time]) == [DAY]


def test_more_dates_that_are_read():
    compact = ["20200301102030", "20200301T1020", "20200301 102030.5", "20200301T102030Z"]
    assert _ask("as_date(t)", compact) == [DAY] * 4
    assert _ask("as_date(t)", ["2020-02-29", "0001-01-01", "9999-12-31"]) == [
        datetime.date(2020, 2, 29), datetime.date(1, 1, 1), datetime.date(9999, 12, 31)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["2020-13-45", "03/04/2020", "2020-02-30", "2019-02-29", "20201345", "2020-03", "2020", "202003", "2020031", "0000-01-01",
     "2020-03/01", "20-03-01", "1/2/20", "01.03.2020", "2020-03-01x", "x2020-03-01", "2020-03-01 25:00", "2020-03-01 10:60",
     "2020-03-011", "12020-03-01", "43891", "Mar 1 2020", "2020 03 01", "-2020-03-01", "2020-03-01 (BC)", "2020--03-01",
     "99999999", "2020-00-10", "2020-10-00", "infinity", "today", "1583020800", "2020-03-0110:20", "2020-03-01 10", "오늘", ""],
)  # fmt: skip
def test_dates_that_are_refused(text):
    assert _ask("as_date(t)", [text]) == [None]


@given(st.text(alphabet="0123456789-/. T:", max_size=12))
@settings(max_examples=150, deadline=None)
def test_no_date_is_guessed(text):
    (found,) = _ask("as_date(t)", [text])
    if found is not None:  # what was read stands there, year first, in whole numbers
        digits = "".join(c for c in text if c.isdigit())
        assert text.startswith(f"{found.year:04}")
        days = {
            f"{found:%m%d}",
            f"{found.month}{found.day}",
            f"{found.month}{found:%d}",
            f"{found:%m}{found.day}",
        }
        assert digits[4:].startswith(tuple(days))


@pytest.mark.parametrize(
    ("text", "years"),
    [("45", 45), ("45.5", 45.5), ("045Y", 45), ("45y", 45), ("006M", 0.5), ("0", 0), ("120", 120), ("121", 121),
     ("026W", 26 * 7 / 365.25), ("365D", 365 / 365.25), ("000D", 0), ("45.50", 45.5)],
)  # fmt: skip
def test_ages_that_are_read(text, years):
    assert _ask("as_years(t)", [text]) == [pytest.approx(years)]


@pytest.mark.parametrize(
    "text",
    ["-3", "45,5", "forty", "45 Y", "Y45", "45YY", "4 5", "1e1", ".5", "45.", "1000", "nan", "inf", ""],
)
def test_ages_that_are_refused(text):
    assert _ask("as_years(t)", [text]) == [None]


def test_sexes_and_labels():
    texts = ["M", "f", "Male", "FEMALE", "남", "여", "남자", "여성", "U", "O", "1", ""]
    assert _ask("as_sex(t)", texts) == ["M", "F", "M", "F", "M", "F", "M", "F", None, None, None, None]
    texts = ["0", "1", "0.0", "1.0", "1.00", "2", "99", "yes", "-1", "01", "1.5", "1.", "true", "10"]
    assert _ask("as_label(t)", texts) == [0, 1, 0, 1, 1] + [None] * 9


def test_shapes_tell_no_value():
    texts = [
        "2020-13-45",
        "Kim CHULSOO",
        "홍길동",
        "9월",
        "é中Ж",
        "a\nb\tc",
        "x" * 21,
        "x" * 20,
        "００１",
        "=cmd|' /C",
        "e\u0301",
    ]
    assert _ask("shape(t)", texts) == [
        "9999-99-99", "Aaa AAAAAAA", "가가가", "9가", "aaA", "a a a", "a" * 20 + "…", "a" * 20, "999", "=aaa|' /A", "a "
    ]  # fmt: skip


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_shape_holds_no_letter_or_digit_of_the_value(text):
    (shape,) = _ask("shape(t)", [text.replace("\0", "")])
    assert len(shape) <= 21
    assert not {c for c in shape if c.isalnum()} - set("aA9가")


def test_words():
    texts = [
        "MRI_L-Spine(요추)",
        "요추MRI",
        "T-L SPINE",
        "C/T/L-Spine",
        "T-SPINE, L-SPINE",
        "  L.S. - Spine ",
        "--",
    ]
    assert _ask("as_words(t)", texts) == [
        "mri l spine 요추", "요추 mri", "tl spine", "c tl spine", "t spine l spine", "l s spine", ""
    ]  # fmt: skip


def _birthday(born: datetime.date, year: int) -> datetime.date:
    try:
        return born.replace(year=year)
    except ValueError:
        return datetime.date(year, 3, 1)


def _age(born: datetime.date, today: datetime.date) -> float:
    completed = today.year - born.year - (today < _birthday(born, today.year))
    last, following = _birthday(born, born.year + completed), _birthday(born, born.year + completed + 1)
    return completed + (today - last).days / (following - last).days


_DAYS = st.dates(datetime.date(1900, 1, 1), datetime.date(2030, 12, 31))


@given(st.lists(st.tuples(_DAYS | st.just(datetime.date(2000, 2, 29)), _DAYS), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_age_on_a_day(pairs):
    rows = [{"born": born, "today": today} for born, today in pairs]
    found = _ask(
        "struct_pack(age := exact_years(t.born, t.today, completed_years(t.born, t.today)), adult := birthday(t.born, year(t.born) + 18))",
        rows,
    )
    for row, (born, today) in zip(found, pairs, strict=True):
        assert row["age"] == pytest.approx(_age(born, today))
        assert row["adult"] == _birthday(born, born.year + 18)
