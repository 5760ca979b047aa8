"""What tests share: real small studies, driven by the real command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
SHARED = Path(__file__).parents[1].parent / "shared"


class Command:
    """`hnp` in a process of its own, with an environment that names no home."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd

    def __call__(self, *arguments: object, code: int | None = 0, **environment: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
        done = subprocess.run(
            [str(Path(sys.executable).parent / "hnp"), *map(str, arguments)],
            cwd=self.cwd,
            env=clean | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        told = done.stdout + done.stderr
        assert code is None or done.returncode == code, told
        assert "Traceback" not in told and "nanobind" not in told, told
        return told


@pytest.fixture(scope="session")
def hnp(tmp_path_factory) -> Command:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    # MLflow imports click: its own, not whatever lies in the folder that one stands in.
    (elsewhere / "click.py").write_text("raise RuntimeError('imported from the folder that one stands in')")
    return Command(elsewhere)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory, hnp) -> Path:
    """A phantom of 40 patients; not to be changed."""
    directory = tmp_path_factory.mktemp("phantom") / "phantom"
    hnp("phantom", directory, "--patients", 40, "--seed", 3)
    return directory


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that lies beside the project in its workplace."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder is not here")
    return SHARED


@pytest.fixture(scope="session")
def small_home(tmp_path_factory) -> Path:
    """A home with four fold models of the task `level` that were never trained, and thresholds; not to be changed."""
    import json

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

    from hnp_pipeline import schemas, study
    from hnp_pipeline.training.backbone import build_model
    from hnp_pipeline.training.inference import save_model
    from hnp_pipeline.vocabulary import FOLDS, LEVELS

    home = tmp_path_factory.mktemp("small") / "home"
    training = study.Training(backbone="test_efficientnet", weights=study.Weights(source="random"))
    settings = {"training": training, "imaging": study.Imaging(size=64)}
    for fold in FOLDS:
        torch.manual_seed(fold)
        folder = home / "models" / "level" / f"fold={fold}"
        folder.mkdir(parents=True)
        facts = {"task": "level", "fold": fold, "age": {"mean": 50, "std": 15}, "views": []}
        facts |= {k: json.loads(v.model_dump_json()) for k, v in settings.items()}
        network = build_model(training, len(LEVELS), 0, pretrained=False)
        torch.nn.init.normal_(network.classifier.weight, 0, 0.5)  # so that pictures differ
        save_model(network.state_dict(), folder, facts | {"memory_format": "channels_last"})
    rows = {
        "task": ["level"] * 20,
        "fold": np.repeat(FOLDS, 5).astype(np.int32),
        "level": list(LEVELS) * 4,
        "threshold": [None, *np.linspace(0.3, 0.7, 19)],
    }
    table = pa.table(rows, schema=schemas.schema(schemas.THRESHOLDS))
    pq.write_table(table, home / "models" / "level" / "thresholds.parquet")
    return home


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> "list[Path]":
    """Three pictures that may be radiographs, as JPEG."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("films")
    y, x = np.mgrid[:200, :160] / 100
    paths = []
    for i in range(3):
        gray = (
            128
            + 60 * np.sin(3 * x + i) * np.cos((2 + i) * y)
            + np.random.default_rng(i).normal(0, 8, x.shape)
        )
        paths.append(folder / f"{i}.jpg")
        cv2.imwrite(str(paths[-1]), np.clip(gray, 0, 255).astype(np.uint8))
    return paths


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; where there is none the tests skip, unless HNP_BROWSER says that it is required."""
    wish = os.environ.get("HNP_BROWSER")
    if wish == "none" or (not CHROMIUM.exists() and wish != "required"):
        pytest.skip("no browser: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
