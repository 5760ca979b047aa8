"""Does attention over a patient's images beat averaging their probabilities? On the strong phantom, whose truth is known.

    python -m benchmarks.multiview [--patients 500] [--seed 3] [--folds 2] [--epochs N] [--place DIR]

The tasks `level` (averaging, as in the paper) and `multiview` (attention) learn from the same images with the same
settings (`profiles/demo.yaml`), a network a fold, and answer for the same test patients. Differences in the mean AUC over
the five levels have paired bootstrap intervals over patients. Ablations say where a difference comes from: the same
networks with all images weighed alike, and averaging of logits instead of probabilities. What is in `--place` already is
not made again: a second call goes on.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from hnp_pipeline.cohort.examples import by_content
from hnp_pipeline.evaluation.bootstrap import auc_draws, interval, resample
from hnp_pipeline.home import Home
from hnp_pipeline.study import PROFILES, Study, load_study
from hnp_pipeline.tables import read_table
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.inference import FoldModel, load_model, predict, predict_patients, probabilities
from hnp_pipeline.training.pooling import answers
from hnp_pipeline.training.tasks import labels_of, patients_of
from hnp_pipeline.vocabulary import LEVELS, VIEWS
from resources.images import Images

ROOT = Path(__file__).resolve().parents[1]
HNP = Path(sys.executable).parent / "hnp"
DRAWS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--folds", type=int, default=2, help="networks a task: 1 to 4")
    parser.add_argument(
        "--epochs", type=int, default=4, help="of each network; a place has one number of them"
    )
    parser.add_argument("--place", type=Path, default=ROOT / "demo" / "multiview")
    options = parser.parse_args()
    study, home = prepared(options.place, options.patients, options.seed, options.epochs)
    models = {task: trained(study, home, task, options.folds) for task in ("level", "multiview")}
    told(study, home, models)


def prepared(place: Path, patients: int, seed: int, epochs: int) -> tuple[Study, Home]:
    """The phantom and its image cache, by the real commands."""
    phantom, home = place / f"phantom-{patients}-{seed}", place / f"home-{patients}-{seed}"
    subprocess.run([HNP, "phantom", phantom, "--patients", str(patients), "--seed", str(seed)], check=True)
    profile = place / "profile.yaml"
    settings = yaml.safe_load((PROFILES / "demo.yaml").read_text("utf-8"))
    settings["training"] |= {"epochs": epochs, "restart_epochs": epochs}
    profile.write_text(yaml.safe_dump(settings | {"tasks": ["level", "multiview"]}), "utf-8")
    raw = ["--raw", phantom / "raw", "--home", home, "--profile", profile]
    subprocess.run([HNP, "run", *raw, "--until", "imaging"], check=True)
    return load_study(profile), Home(home)


def trained(study: Study, home: Home, task: str, folds: int) -> list[FoldModel]:
    examples = read_table(home.part("development_set"))
    models = []
    for fold in range(folds):
        directory = home.fold(task, fold)
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / "model.json").exists():
            store = Images(home, study.imaging).store(by_content(examples))
            result = train_fold(
                store,
                by_content(examples),
                task,
                fold,
                study.training,
                study.imaging,
                directory,
                device=study.compute.device,
            )
            best = result.history[result.best_epoch - 1].mean_auc or float("nan")
            print(f"{task} fold {fold}: validation AUC {best:.3f}, epoch {result.best_epoch}", flush=True)
        models.append(load_model(directory, study.compute.device))
    return models


def told(study: Study, home: Home, models: dict[str, list[FoldModel]]) -> None:
    examples = by_content(read_table(home.part("test_set")))
    store = Images(home, study.imaging).store(examples)
    patient, view = patients_of(examples), examples["view"].to_numpy().astype(str)
    ages = examples["age"].to_numpy()
    one = predict(models["level"], store, ages)  # (models, n, 5)
    several = predict_patients(models["multiview"], store, patient, ages, view)
    own = own_logits(several.attention, models["multiview"], store, ages, view)

    alike = np.zeros_like(own)
    ways = {
        "averaging probabilities (level)": by_patient(one, patient),
        "averaging logits (level)": probabilities(
            answers(np.concatenate([np.log(one / (1 - one)), alike], -1), patient)[0]
        ),
        "attention (multiview)": several.probability,
        "the same networks, images weighed alike": probabilities(
            answers(np.concatenate([own, alike], -1), patient)[0]
        ),
    }
    whose, code = np.unique(patient, return_inverse=True)
    first = np.unique(code, return_index=True)[1]
    label = labels_of(examples, models["multiview"][0].task)[first].astype(np.int8)
    counts = resample(len(whose), DRAWS, 0)
    images = np.bincount(code)
    print(f"\n{len(whose)} test patients, {len(view)} images, {len(models['level'])} networks a task")
    draws = {name: mean_auc(p.mean(axis=0), label, counts) for name, p in ways.items()}
    base = draws["averaging probabilities (level)"]
    print(f"\n{'mean AUC over five levels, by patient':42}{'AUC':>7}   less averaging (95 % interval)")
    for name, found in draws.items():
        low, high = (float(v) for v in interval((found - base)[1:], 0.95))
        print(f"{name:42}{found[0]:7.3f}   {found[0] - base[0]:+.3f} ({low:+.3f} to {high:+.3f})")

    print(
        f"\n{'view':6}{'images':>8}{'AUC by image (level)':>22}{'attention, of an equal share':>30}   by level"
    )
    share = several.attention.mean(axis=0) * images[code][:, None]  # 1: as much as every other
    more = images[code] > 1
    for name in VIEWS:
        mine = view == name
        if not mine.any():
            continue
        rows = np.arange(mine.sum())
        auc = mean_auc(
            one.mean(axis=0)[mine],
            labels_of(examples, models["level"][0].task)[mine].astype(np.int8),
            np.ones((1, len(rows)), np.int64),
        )[0]
        weight = share[mine & more]
        levels = " ".join(f"{k} {w:.2f}" for k, w in zip(LEVELS, weight.mean(axis=0), strict=True))
        print(f"{name:6}{mine.sum():8}{auc:22.3f}{weight.mean():30.2f}   {levels}")
    spread = share[more].std(axis=0).mean()
    print(f"the weights spread by {spread:.2f} (standard deviation) around an equal share of 1")


def own_logits(
    attention: np.ndarray, models: list[FoldModel], store: object, ages: np.ndarray, view: np.ndarray
) -> np.ndarray:
    """Each image's own part in the answer (models, n, 5): a patient of its own has all the attention."""
    alone = predict_patients(models, store, np.arange(len(view)), ages, view).probability  # type: ignore[arg-type]
    return np.log(alone / (1 - alone)).reshape(attention.shape)


def by_patient(probability: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """The mean over a patient's images: (models, P, 5)."""
    _, code, images = np.unique(patient, return_inverse=True, return_counts=True)
    sums = np.zeros((probability.shape[0], len(images), probability.shape[2]))
    np.add.at(sums, (slice(None), code), probability)
    return sums / images[:, None]


def mean_auc(score: np.ndarray, label: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean AUC over the levels in each draw."""
    rows = np.arange(len(score))
    return np.mean([auc_draws(score[:, k], label[:, k], rows, counts) for k in range(len(LEVELS))], axis=0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
