"""Whether four fold models belong together."""

import json
from pathlib import Path

import pytest

from hnp_pipeline.errors import StepError
from hnp_pipeline.fold_models import require_one_study

MODEL = {"examples": "e", "pixels": "p", "training": {"epochs": 1}, "imaging": {"size": 64}, "best_epoch": 1}


def written(folder: Path, **changed: object) -> Path:
    for fold in range(4):
        (folder / f"fold={fold}").mkdir()
        model = {**MODEL, "best_epoch": fold, **(changed if fold == 2 else {})}
        (folder / f"fold={fold}" / "model.json").write_text(json.dumps(model))
    return folder


def test_one_study(tmp_path: Path) -> None:
    require_one_study(written(tmp_path))


@pytest.mark.parametrize(
    "changed", [{"examples": "f"}, {"pixels": "q"}, {"training": {"epochs": 2}}, {"imaging": {"size": 128}}]
)
def test_one_fold_of_another(tmp_path: Path, changed: dict) -> None:
    with pytest.raises(StepError, match="2 different development sets, images or settings"):
        require_one_study(written(tmp_path, **changed))


def test_one_is_missing(tmp_path: Path) -> None:
    (written(tmp_path) / "fold=3" / "model.json").unlink()
    with pytest.raises(StepError, match="no model in"):
        require_one_study(tmp_path)
