"""Tables in Dagster's terms."""

import pyarrow as pa
import pytest

from resources.tables import markdown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![a](http://e.x/p.png)", r"!\[a\](http://e.x/p.png)"),
        ("[x](javascript:1)", r"\[x\](javascript:1)"),
        ("a|b\nc", r"a\|b c"),
        ("<script>", "&lt;script&gt;"),
        ("서울 병원", "서울 병원"),
    ],
)
def test_text_from_data_is_text(text: str, shown: str) -> None:
    assert markdown(pa.table({"hospital": [text]})).splitlines()[2] == f"| {shown} |"


def test_numbers_and_nothing() -> None:
    table = pa.table({"value": [0.123456, None], "count": [3, None]})
    assert markdown(table).splitlines() == ["| value | count |", "| --- | --- |", "| 0.1235 | 3 |", "|  |  |"]
