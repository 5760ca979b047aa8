"""The code that travels with a registered model: its own version of the preprocessing, apart from this checkout."""

import shutil
from pathlib import Path

# The parts of hnp_pipeline that prediction imports, and no more.
PACKED = (
    "vocabulary", "errors", "progress", "schemas", "tables", "study",
    "imaging", "training", "evaluation", "explanation", "prediction", "fold_models",
)  # fmt: skip
_PACKAGES = Path(__file__).resolve().parent.parent
SERVED = _PACKAGES / "resources" / "served_model.py"


def pack(target: Path) -> None:
    """Copy the parts of hnp_pipeline that travel with a model; source and tables only, nothing compiled."""
    target.mkdir(parents=True)
    for part in ("__init__", *PACKED):
        source = _PACKAGES / "hnp_pipeline" / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(source.with_suffix(".py"), target)
