"""New radiographs of one patient: the four models' probabilities, thresholds, decisions, heat maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.ensemble import decisions, mean_threshold
from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.evaluation.thresholds import decide
from hnp_pipeline.explanation.gradcam import gradcam
from hnp_pipeline.explanation.overlays import heat_image, overlay
from hnp_pipeline.imaging.clahe import prepare, reduction
from hnp_pipeline.imaging.decoding import decode_gray
from hnp_pipeline.imaging.files import open_regular
from hnp_pipeline.imaging.formats import UnreadableImageError, read_header
from hnp_pipeline.study import Evaluation, Imaging, Intake
from hnp_pipeline.tables import read_table, replacing
from hnp_pipeline.training.inference import FoldModel, load_model, predict
from hnp_pipeline.vocabulary import FOLDS, LEVEL_TITLES


@dataclass(frozen=True)
class Prediction:
    """What the ensemble says of one level of a patient. `threshold` and `predicted` are None where none could be had."""

    level: str
    probability: float
    threshold: float | None
    predicted: int | None


@dataclass(frozen=True)
class Pixels:
    """Prepared pictures in memory, as inference takes them: uint8 (n, size, size)."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The pictures at these positions."""
        return np.take(self.array, indices, axis=0, out=out)


@dataclass(frozen=True)
class Ensemble:
    """A task's fold models and thresholds (models, levels; NaN where one could not be had)."""

    models: list[FoldModel]
    thresholds: np.ndarray
    evaluation: Evaluation
    intake: Intake

    @classmethod
    def load(
        cls,
        folder: Path,
        evaluation: Evaluation,
        intake: Intake,
        device: str = "cpu",
    ) -> "Ensemble":
        """The models of a task's folder (`models/<task>`).

        Raises:
            StepError: the task has not been trained and cross-validated.
        """
        if not (folder / "thresholds.parquet").exists():
            raise StepError(f"no models of {folder.name} in {folder}: run the study first (hnp run)")
        models = [load_model(folder / f"fold={fold}", device) for fold in FOLDS]
        rows = read_table(folder / "thresholds.parquet", ["fold", "level", "threshold"]).to_pylist()
        cut = {(r["fold"], r["level"]): r["threshold"] for r in rows}
        levels = models[0].task.outputs
        thresholds = np.array([[cut[fold, level] for level in levels] for fold in FOLDS], dtype=np.float64)
        return cls(models, thresholds, evaluation, intake)

    @property
    def levels(self) -> tuple[str, ...]:
        """The task's outputs."""
        return tuple(self.models[0].task.outputs)

    def pixels(self, images: Sequence[bytes]) -> Pixels:
        """Pictures as the models were trained on them.

        Raises:
            UnreadableImageError: one is not a readable JPEG, PNG or DICOM image.
        """
        imaging = self.models[0].imaging
        return Pixels(np.stack([_prepared(image, imaging, self.intake.maximum_pixels) for image in images]))

    def probabilities(self, pixels: Pixels, age: float | None = None) -> np.ndarray:
        """The four models' mean probability of each picture: float64 (n, levels)."""
        ages = None if age is None else np.full(len(pixels), age)
        return predict(self.models, pixels, ages).mean(axis=0)

    def predict_patient(
        self, paths: Sequence[Path], age: float | None = None, heatmaps: Path | None = None
    ) -> list[Prediction]:
        """Several pictures as one patient: the mean over them, then the decision, as in the evaluation (design 8).

        Args:
            paths: the pictures.
            age: in years, for models that take it as an input.
            heatmaps: a folder for an overlay of each picture and level; none: no heat maps.

        Raises:
            StepError: a picture cannot be read, or the folder cannot be written.
        """
        pixels = self.pixels_of(paths)
        ages = None if age is None else np.full(len(pixels), age)
        each = predict(self.models, pixels, ages)  # (models, n, levels)
        of_patient = each.mean(axis=1)
        together = of_patient.mean(axis=0)
        decided = decisions(
            [self._scores(p[None]) for p in of_patient],
            self.thresholds,
            self._scores(together[None]),
            self.evaluation.decision,
        )[0]
        if heatmaps is not None:
            self._write_heatmaps(pixels, each.mean(axis=0), ages, heatmaps)
        cuts = mean_threshold(self.thresholds)
        return [
            Prediction(
                level,
                float(together[i]),
                None if np.isnan(cuts[i]) else float(cuts[i]),
                None if np.isnan(decided[i]) else int(decided[i]),
            )
            for i, level in enumerate(self.levels)
        ]

    def pixels_of(self, paths: Sequence[Path]) -> Pixels:
        """The pictures in these files.

        Raises:
            StepError: one cannot be read; the message counts from 1 and holds no file name.
        """
        read = []
        for number, path in enumerate(paths, 1):
            try:
                with open_regular(path) as file:
                    read.append(self.pixels([file.readall()]).array[0])
            except (OSError, UnreadableImageError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                raise StepError(f"image {number} of {len(paths)} is no readable radiograph: {why}") from None
        return Pixels(np.stack(read))

    def _write_heatmaps(
        self, pixels: Pixels, probability: np.ndarray, ages: np.ndarray | None, directory: Path
    ) -> None:
        import cv2

        n, k = probability.shape
        positions, units = np.repeat(np.arange(n), k), np.tile(np.arange(k), n)
        heats = gradcam(self.models, pixels, positions, units, None if ages is None else ages[positions])
        decided = decide(probability, mean_threshold(self.thresholds))
        for heat, i, j in zip(heats, positions, units, strict=True):
            picture = pixels.array[i]
            said = {1.0: "herniation", 0.0: "no herniation"}.get(float(decided[i, j]), "no decision")
            words = f"{LEVEL_TITLES[self.levels[j]]}  p {probability[i, j]:.2f}  model: {said}"
            shown = overlay(picture, heat_image(heat, picture.shape), words, None)
            with replacing(directory / f"{i + 1:02d}_{self.levels[j]}.jpg") as temporary:
                temporary.write_bytes(cv2.imencode(".jpg", shown)[1].tobytes())

    def _scores(self, probability: np.ndarray) -> Scores:
        one = np.zeros(1, np.int64)
        return Scores(
            self.levels,
            probability,
            np.zeros(probability.shape, np.int8),
            one,
            np.array(["patient"]),
            np.array(["patient"]),
        )


def _prepared(image: bytes, imaging: Imaging, maximum_pixels: int) -> np.ndarray:
    header = read_header(image, maximum_pixels)
    return prepare(decode_gray(image, header, reduction(header.width, header.height, imaging)), imaging)
