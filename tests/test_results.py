"""The study's figures in a terminal: those that rest on too few patients carry a mark, and one line says what it means."""

import pyarrow as pa
import pytest

from hnp_pipeline import schemas
from hnp_pipeline.home import Home
from hnp_pipeline.results import results
from hnp_pipeline.tables import write_table


@pytest.fixture
def printed(tmp_path):
    """What is printed of the test AUC by patient at two levels, the first with this reason."""

    def of(reason: str | None, value: float | None = 0.612) -> list[str]:
        row = {
            "task": "level",
            "split": "test",
            "unit": "patient",
            "metric": "auc",
            "ci_low": 0.4,
            "ci_high": 0.8,
        }
        rows = [
            row | {"level": "l1_2", "value": value, "reason": reason},
            row | {"level": "l4_5", "value": 0.7},
        ]
        home = Home(tmp_path)
        home.table("metrics").parent.mkdir(exist_ok=True)
        write_table(pa.Table.from_pylist(rows, schemas.schema(schemas.METRICS)), home.table("metrics"))
        return results(home).splitlines()

    return of


def test_too_few_patients_are_marked_and_the_mark_explained(printed) -> None:
    lines = printed("interval unreliable: 2 positive patients")
    (doubtful,) = (line for line in lines if "L1-2" in line)
    (sure,) = (line for line in lines if "L4-5" in line)
    assert doubtful.rstrip().endswith("0.612 (0.400–0.800)†") and "†" not in sure
    assert [line for line in lines if line.startswith("†")] == [
        "† too few patients of one class: the interval is not to be relied on"
    ]


@pytest.mark.parametrize(("reason", "value"), [(None, 0.612), ("no positive patient", None)])
def test_there_is_no_mark_without_a_doubtful_figure(printed, reason, value) -> None:
    assert "†" not in "\n".join(printed(reason, value))
