"""A task's four fold models: what they say of themselves, and whether they belong together (design 6)."""

import json
from pathlib import Path
from typing import Any

from hnp_pipeline.errors import StepError
from hnp_pipeline.vocabulary import FOLDS


def described(directory: Path) -> dict[str, Any]:
    """What a fold's model.json says.

    Raises:
        StepError: there is no model.
    """
    try:
        return json.loads((directory / "model.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise StepError(f"no model in {directory}: materialise fold_model again") from None


def require_one_study(task: Path) -> None:
    """The four models of a task's folder come from one development set, the same pixels and one setting.

    Raises:
        StepError: they do not, so no ensemble may be made of them; or one is missing.
    """
    models = [described(task / f"fold={fold}") for fold in FOLDS]
    asked = ("examples", "pixels", "training", "imaging")
    found = {json.dumps([model.get(key) for key in asked], sort_keys=True) for model in models}
    if len(found) != 1:
        raise StepError(
            f"the fold models of {task.name} come from {len(found)} different development sets, images or settings: "
            f"materialise {task.name}/fold_model again for every fold (hnp run)"
        )
