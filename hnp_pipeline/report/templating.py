"""The templates of the page and of the cards, with the filters that both use."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hnp_pipeline.report import wording


def environment(*, html: bool, **filters: Callable[..., Any]) -> Environment:
    """Where templates are found.

    Args:
        html: escape what templates print. Of Markdown, what came from data goes through `markdown`.
        filters: beside those of both.
    """
    made = Environment(
        loader=PackageLoader("hnp_pipeline.report"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    both: dict[str, Callable[..., Any]] = {
        "count": wording.count,
        "counted": wording.counted,
        "level": wording.level_title,
        "listed": wording.listed,
        "per_unit": wording.per_unit,
        "reason": wording.reason,
        "task": lambda task: wording.TASK_TITLES.get(task, task),
    }
    made.filters |= both | filters
    return made
