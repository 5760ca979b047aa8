"""New radiographs of one patient: the four models' probabilities, thresholds, decisions, heat maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hnp_pipeline.errors import SettingsError, StepError
from hnp_pipeline.evaluation.ensemble import decisions, mean_threshold, votes
from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.explanation.gradcam import gradcam
from hnp_pipeline.explanation.overlays import heat_image, overlay
from hnp_pipeline.fold_models import require_one_study
from hnp_pipeline.imaging.clahe import prepare, reduction
from hnp_pipeline.imaging.decoding import decode_gray
from hnp_pipeline.imaging.files import open_regular, read_picture
from hnp_pipeline.imaging.formats import UnreadableImageError, read_header
from hnp_pipeline.imaging.plausibility import require_radiograph
from hnp_pipeline.study import Evaluation, Imaging, Intake
from hnp_pipeline.tables import read_table, replacing
from hnp_pipeline.training.inference import FoldModel, load_model, predict, predict_patients
from hnp_pipeline.vocabulary import FOLDS, LEVEL_TITLES, NOTICE


@dataclass(frozen=True)
class Prediction:
    """What the ensemble says of one level of a patient. `threshold` and `predicted` are None where none could be had.

    Where the majority of the models decides, no one threshold does: `threshold` is None, and `votes` says how many of
    the models say herniation, and how many have a threshold to say so by.
    """

    level: str
    probability: float
    threshold: float | None
    predicted: int | None
    votes: tuple[int, int] | None = None


@dataclass(frozen=True)
class Answers:
    """What the ensemble says of patients.

    Attributes:
        probability: float64 (P, levels).
        predicted: (P, levels) 1, 0, or NaN where no threshold could be had.
    """

    probability: np.ndarray
    predicted: np.ndarray


Views = Sequence[str | None]


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
            StepError: the task has not been trained and cross-validated, or its models do not belong together.
        """
        if not (folder / "thresholds.parquet").exists():
            there = sorted(path.parent.name for path in folder.parent.glob("*/thresholds.parquet"))
            others = " or ".join(f"--task {task}" for task in there)
            todo = f"there are some for {others}" if there else "run the study first (hnp run)"
            raise StepError(f"no models of {folder.name} in {folder}: {todo}")
        require_one_study(folder)
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
            UnreadableImageError: one is not a readable JPEG, PNG or DICOM image, or cannot be a radiograph.
        """
        imaging = self.models[0].imaging
        return Pixels(np.stack([_prepared(image, imaging, self.intake.maximum_pixels) for image in images]))

    @property
    def takes_age(self) -> bool:
        """Whether the models take the age as an input; one that is not known stands as the training mean."""
        return "age" in self.models[0].task.known

    @property
    def takes_views(self) -> bool:
        """Whether the models are told each picture's view."""
        return self.models[0].task.pooled

    def answers(
        self,
        pixels: Pixels,
        patient: np.ndarray,
        ages: np.ndarray | None = None,
        views: Views | None = None,
    ) -> Answers:
        """Probability and decision for each patient from all the patient's pictures, as in the evaluation (design 8).

        Args:
            pixels: of n pictures.
            patient: (n,) whose each is; the answers come in the order of np.unique(patient).
            ages: (n,) years, NaN where not known.
            views: (n,) likewise, None where not known.
        """
        return self._decided(self._by_patient(pixels, patient, ages, views)[0])

    def predict_patient(
        self,
        paths: Sequence[Path],
        age: float | None = None,
        heatmaps: Path | None = None,
        views: Views | None = None,
    ) -> list[Prediction]:
        """Several pictures as one patient.

        Args:
            paths: the pictures.
            age: in years, for models that take it as an input.
            heatmaps: a folder for an overlay of each picture and level; none: no heat maps.
            views: of each picture, for models that take them.

        Raises:
            StepError: a picture cannot be read, or is no radiograph.
            SettingsError: the folder cannot be written.
        """
        pixels = self.pixels_of(paths)
        ages = None if age is None else np.full(len(pixels), age)
        of_patient, of_image = self._by_patient(pixels, np.zeros(len(pixels), np.int64), ages, views)
        answers = self._decided(of_patient)
        if heatmaps is not None:
            try:
                self._write_heatmaps(pixels, self._decided(of_image), ages, views, heatmaps)
            except OSError as error:
                raise SettingsError(f"no heat map can be written to {heatmaps}: {error.strerror}") from None
        said, decided = answers.probability[0], answers.predicted[0]
        by_vote = self.evaluation.decision == "majority"
        cuts = np.full(len(said), np.nan) if by_vote else mean_threshold(self.thresholds)
        ayes, voters = votes([self._scores(p) for p in of_patient], self.thresholds)
        return [
            Prediction(
                level,
                float(said[i]),
                None if np.isnan(cuts[i]) else float(cuts[i]),
                None if np.isnan(decided[i]) else int(decided[i]),
                (int(ayes[0, i]), int(voters[0, i])) if by_vote else None,
            )
            for i, level in enumerate(self.levels)
        ]

    def _by_patient(
        self, pixels: Pixels, patient: np.ndarray, ages: np.ndarray | None, views: Views | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each model's probabilities of patients (models, P, levels) and of pictures (models, n, levels).

        Where models answer for patients, a picture has its patient's.
        """
        _, code = np.unique(patient, return_inverse=True)
        if self.takes_views:
            asked = None if views is None else np.array(views, object)
            of_patient = predict_patients(self.models, pixels, code, ages, asked).probability
            return of_patient, of_patient[:, code]
        each = predict(self.models, pixels, ages)
        order = np.argsort(code, kind="stable")
        first = np.searchsorted(code[order], np.arange(code.max() + 1))
        sums = np.add.reduceat(each[:, order], first, axis=1)
        return sums / np.bincount(code)[:, None], each

    def _decided(self, of_each: np.ndarray) -> Answers:
        """Of patients, or of pictures, what each model says (models, n, levels) made one."""
        together = of_each.mean(axis=0)
        models = [self._scores(p) for p in of_each]
        rule = self.evaluation.decision
        return Answers(together, decisions(models, self.thresholds, self._scores(together), rule))

    def pixels_of(self, paths: Sequence[Path]) -> Pixels:
        """The pictures in these files.

        Raises:
            SettingsError: there is no such file.
            StepError: one cannot be used; the message counts from 1 and holds no file name.
        """
        if missing := [n for n, path in enumerate(paths, 1) if not path.exists()]:
            raise SettingsError(f"image {missing[0]} of {len(paths)}: there is no such file")
        read = []
        for number, path in enumerate(paths, 1):
            try:
                with open_regular(path) as file:
                    data = read_picture(file, self.intake.maximum_pixels)
                read.append(self.pixels([data]).array[0])
            except (OSError, UnreadableImageError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                raise StepError(f"image {number} of {len(paths)} is no readable radiograph: {why}") from None
        return Pixels(np.stack(read))

    def _write_heatmaps(
        self,
        pixels: Pixels,
        of_image: Answers,
        ages: np.ndarray | None,
        views: Views | None,
        directory: Path,
    ) -> None:
        import cv2

        probability, decided = of_image.probability, of_image.predicted
        n, k = probability.shape
        positions, units = np.repeat(np.arange(n), k), np.tile(np.arange(k), n)
        heats = gradcam(
            self.models,
            pixels,
            positions,
            units,
            None if ages is None else ages[positions],
            views=None if views is None else np.array(views, object)[positions],
        )
        for heat, i, j in zip(heats, positions, units, strict=True):
            picture = pixels.array[i]
            said = {1.0: "herniation", 0.0: "no herniation"}.get(float(decided[i, j]), "no decision")
            words = f"{LEVEL_TITLES[self.levels[j]]}  p {probability[i, j]:.2f}  model: {said}"
            shown = overlay(picture, heat_image(heat, picture.shape), words, None, NOTICE)
            with replacing(directory / f"{i + 1:02d}_{self.levels[j]}.jpg") as temporary:
                temporary.write_bytes(cv2.imencode(".jpg", shown)[1].tobytes())

    def _scores(self, probability: np.ndarray) -> Scores:
        """Of patients (P, levels), whose labels are not known and not asked for."""
        patient = np.arange(len(probability))
        labels = np.zeros(probability.shape, np.int8)
        return Scores(self.levels, probability, labels, patient, patient, patient)


def _prepared(image: bytes, imaging: Imaging, maximum_pixels: int) -> np.ndarray:
    header = read_header(image, maximum_pixels)
    gray = decode_gray(image, header, reduction(header.width, header.height, imaging))
    require_radiograph(image, header, gray)
    return prepare(gray, imaging)
