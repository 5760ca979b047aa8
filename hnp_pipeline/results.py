"""The study's figures in a terminal."""

import duckdb

from hnp_pipeline.home import Home
from hnp_pipeline.tables import read_table
from hnp_pipeline.vocabulary import HNP, LEVEL_TITLES, LEVELS


def results(home: Home) -> str:
    """AUC of every task by level, validation beside test, as text; empty before there are any."""
    from hnp_pipeline.report.wording import per_unit

    path = home.table("metrics")
    if not path.exists():
        return ""
    order = {k: i for i, k in enumerate([*LEVELS, "all", HNP])}
    metrics = read_table(path)
    with duckdb.connect() as connection:
        connection.register("metrics", metrics)
        rows = connection.execute(
            """
            SELECT task, level,
                any_value((value, ci_low, ci_high, reason) ORDER BY unit) FILTER (split = 'validation'),
                any_value((value, ci_low, ci_high, reason)) FILTER (split = 'test' AND unit = 'image'),
                any_value((value, ci_low, ci_high, reason)) FILTER (split = 'test' AND unit = 'patient')
            FROM metrics WHERE metric = 'auc' AND fold IS NULL GROUP BY ALL
            """
        ).fetchall()
    if not rows:
        return ""
    titles = LEVEL_TITLES | {"all": "mean of 5", HNP: "any"}
    lines = [
        "AUC (95 % interval)",
        f"{'task':10} {'level':10} {'validation':20} {'test, image':20} {'test, patient':20}",
    ]
    for task, level, *figures in sorted(rows, key=lambda r: (r[0], order[r[1]])):
        lines.append(f"{task:10} {titles[level]:10} " + " ".join(f"{_figure(f):20}" for f in figures))
    lines.append(f"validation is {per_unit(dict.fromkeys(task for task, *_ in rows))}")
    if any("†" in line for line in lines):
        lines.append("† too few patients of one class: the interval is not to be relied on")
    return "\n" + "\n".join(lines) + "\n"


def _figure(found: tuple[float | None, float | None, float | None, str | None] | None) -> str:
    if found is None or found[0] is None:
        return "–"
    value, low, high, reason = found
    ends = f" ({low:.3f}–{high:.3f})" if low is not None and high is not None else ""
    return f"{value:.3f}{ends}{'†' if reason else ''}"
