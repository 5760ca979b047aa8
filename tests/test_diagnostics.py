"""The two checks on what the models read: a sure lead passes, a lead of too few patients does not."""

import dagster as dg
import pyarrow as pa
import pytest

from assets.diagnostics import better_than_age_and_sex, own_level_leads
from hnp_pipeline import schemas

FEW = "interval unreliable: 3 positive patients"


@pytest.mark.parametrize(
    ("low", "reason", "passed", "words"),
    [
        (0.1, None, True, "mean lead +0.200"),
        (-0.1, None, False, "mean lead +0.200"),
        (0.1, FEW, False, f"too few patients to tell ({FEW})"),
        (None, "no interval", False, "no lead can be computed"),
    ],
)
def test_the_levels_own_score(low, reason, passed, words) -> None:
    row = {"task": "level", "split": "test", "unit": "patient", "level": "all", "lead": 0.2}
    row |= {"ci_low": low, "ci_high": 0.3, "reason": reason}
    columns = schemas.schema(schemas.LEVEL_LEAD)
    made = {"test_level_lead": pa.Table.from_pylist([row], columns)}
    found = own_level_leads(made | {"validation_level_lead": columns.empty_table()})
    assert found.passed == passed and words in found.description
    assert found.severity == dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize(
    ("low", "reason", "passed", "words"),
    [
        (0.1, None, True, "not shown for none; too few patients to tell for none"),
        (-0.1, None, False, "not shown for level;"),
        (0.1, FEW, False, "not shown for none; too few patients to tell for level;"),
        (-0.1, FEW, False, "not shown for none; too few patients to tell for level;"),
        (None, "no interval", False, "cannot be computed for level"),
    ],
)
def test_age_and_sex(low, reason, passed, words) -> None:
    row = {"split": "test", "first": "level", "second": "age_and_sex", "unit": "patient", "level": "all"}
    row |= {"difference": 0.2, "ci_low": low, "ci_high": 0.3, "reason": reason}
    found = better_than_age_and_sex(pa.Table.from_pylist([row], schemas.schema(schemas.COMPARISONS)))
    assert found.passed == passed and words in found.description
    assert found.severity == dg.AssetCheckSeverity.WARN
