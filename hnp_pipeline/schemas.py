"""Every table's columns: name, type, and what it means (shown in Dagster, in DuckDB's comments, in the docs)."""

from typing import NamedTuple

import pyarrow as pa

from hnp_pipeline.vocabulary import LEVEL_TITLES, LEVELS


class Column(NamedTuple):
    """One column of a table."""

    name: str
    type: pa.DataType
    meaning: str


TEXT, DAY, FLAG, REAL = pa.string(), pa.date32(), pa.bool_(), pa.float64()
BYTE, INT, LONG = pa.int8(), pa.int32(), pa.int64()


def _levels(meaning: str) -> list[Column]:
    return [Column(k, BYTE, f"{meaning} at {LEVEL_TITLES[k]}: 1 yes, 0 no") for k in LEVELS]


_IMAGE_ID = Column("image_id", TEXT, "<collection>/<row of the hospital's own x-ray table>")
_COLLECTION = Column("collection", TEXT, "delivery of data the row came with")
_ROW = Column("row", LONG, "row in the hospital's own table; row 1 follows the header")
_PATIENT = Column("patient_key", TEXT, "pseudonym of the patient (HMAC-SHA256)")
_BARE = Column(
    "bare_key", TEXT, "pseudonym of the id without leading zeros and trailing .0; null if that is the same"
)
_HOSPITAL = Column("hospital", TEXT, "hospital, as delivered")
_VIEW = Column("view", TEXT, "AP, LAT, LO, RO, FLEX or EXT")
_SEX = Column("sex", TEXT, "M, F or unknown (null)")
_AGE = Column("age", REAL, "age in years on the x-ray date")
_SHA = Column("sha256", TEXT, "SHA-256 of the image file")
_TASK = Column("task", TEXT, "presence, level, multitask or multiview")
_FOLD = Column("fold", INT, "fold, 0 to 3")
_LEVEL = Column("level", TEXT, "l1_2 … l5_s1, or hnp: any of the five")
_PROBABILITY = Column("probability", REAL, "predicted probability of herniation")
_LABEL = Column("label", BYTE, "herniation by the MRI reading: 1 yes, 0 no")

# What intake makes of a collection's rows. Private to the home: `*_digest` would let a reader test a guess.
INTAKE_RADIOGRAPHS = [
    _IMAGE_ID,
    _COLLECTION,
    _ROW,
    _PATIENT,
    _BARE,
    Column(
        "patient_digest", TEXT, "unkeyed SHA-256 of the patient id: orders folds independently of pseudonyms"
    ),
    Column("birth_digest", TEXT, "keyed hash of the birth date: finds conflicts"),
    _HOSPITAL,
    Column("view", TEXT, "one of the six views; null if not one of them"),
    Column("view_found", TEXT, "shape of a view that is not one of the six, for the exclusion's detail"),
    Column("study_date", DAY, "date of the radiograph"),
    _AGE,
    Column("under_age", FLAG, "before the birthday of the minimum age on the x-ray date"),
    _SEX,
    Column(
        "missing", TEXT, "columns that are blank or cannot be read, and what was found by shape; null if none"
    ),
    Column("unreadable", TEXT, "why the image cannot be used; null if it can"),
    _SHA,
    Column("width", INT, "pixels"),
    Column("height", INT, "pixels"),
]
INTAKE_READINGS = [
    _COLLECTION,
    _ROW,
    _PATIENT,
    _BARE,
    Column("mri_date", DAY, "date of the MRI"),
    Column("lumbar", FLAG, "the body part is the lumbar spine"),
    *_levels("herniation read on MRI"),
    Column("label_source", TEXT, "column or text; null where the reading is unlabelled"),
    Column("evidence", TEXT, "the words each label came from, by level"),
    Column("uncertain", FLAG, "the report hedges at some level"),
]
INTAKE_SURGERIES = [
    _COLLECTION,
    _ROW,
    _PATIENT,
    _BARE,
    Column("surgery_date", DAY, "date of the surgery; null if it cannot be read"),
    Column("lumbar_disc", FLAG, "the site is a lumbar disc"),
]
WITHDRAWN = [_PATIENT, _BARE]

RADIOGRAPHS = [
    _IMAGE_ID,
    _COLLECTION,
    _PATIENT,
    _HOSPITAL,
    _VIEW,
    Column("study_date", DAY, "date of the radiograph"),
    _AGE,
    _SEX,
    _SHA,
    Column("width", INT, "pixels"),
    Column("height", INT, "pixels"),
]
READINGS = [
    _COLLECTION,
    _PATIENT,
    *INTAKE_READINGS[4:],
]
SURGERIES = [c for c in INTAKE_SURGERIES if c is not _BARE]
COHORT = [
    _IMAGE_ID,
    _COLLECTION,
    Column("split", TEXT, "development (trains and validates) or test"),
    _FOLD,
    _PATIENT,
    _HOSPITAL,
    _VIEW,
    _SEX,
    _AGE,
    Column("xray_date", DAY, "date of the radiograph"),
    Column("mri_date", DAY, "date of the matched MRI reading"),
    Column("interval_days", INT, "MRI date minus x-ray date, in days"),
    *_levels("herniation by the matched reading"),
    Column("hnp", BYTE, "herniation at any of the five levels"),
    _SHA,
]
EXCLUSIONS = [
    _IMAGE_ID,
    _COLLECTION,
    _PATIENT,
    Column("reason", TEXT, "the first rule that applies"),
    Column("detail", TEXT, "what was found"),
]
REJECTED_ROWS = [
    _COLLECTION,
    Column("table", TEXT, "mri_readings or surgeries"),
    _ROW,
    Column("column", TEXT, "the column that cannot be used"),
    Column("found", TEXT, "what stood there, by its shape"),
]
READING_DISAGREEMENTS = [
    *(_COLLECTION, _ROW, _PATIENT),
    Column("level", TEXT, "l1_2 … l5_s1"),
    Column("in_column", BYTE, "the label in the table's column, which is the one that counts"),
    Column("in_text", BYTE, "the label read from the report's text"),
    Column("evidence", TEXT, "the words of the text; null where it does not mention the level"),
]
COHORT_FLOW = [
    Column("split", TEXT, "development or test"),
    Column("step", INT, "0 is the export; then one step a rule, in the order asked"),
    Column("reason", TEXT, "the rule of this step; null for the export"),
    Column("images_excluded", LONG, "images that this rule excluded"),
    Column("patients_excluded", LONG, "patients whose last image this rule excluded"),
    Column("images_remaining", LONG, "images left after this step"),
    Column("patients_remaining", LONG, "patients left after this step"),
]
VALIDATION_PREDICTIONS = [_TASK, _FOLD, _IMAGE_ID, _PATIENT, _LEVEL, _PROBABILITY, _LABEL]
TEST_IMAGE_PREDICTIONS = VALIDATION_PREDICTIONS
TEST_PREDICTIONS = [
    _TASK,
    _PATIENT,
    _LEVEL,
    _PROBABILITY,
    Column("predicted", BYTE, "the ensemble's decision; null where no threshold could be had"),
    _LABEL,
]
THRESHOLDS = [
    _TASK,
    _FOLD,
    _LEVEL,
    Column("threshold", REAL, "positive from here up; null where none could be had"),
]
METRICS = [
    _TASK,
    Column("split", TEXT, "validation or test"),
    Column("fold", INT, "null: the ensemble on test, the mean over folds on validation"),
    Column("level", TEXT, "l1_2 … l5_s1, hnp, or all (the mean over the five)"),
    Column("class", TEXT, "hnp or no_hnp; null for auc and accuracy"),
    Column("unit", TEXT, "image or patient"),
    Column("metric", TEXT, "auc, precision, recall, f1 or accuracy"),
    Column("value", REAL, "from 0 to 1; null where it cannot be computed"),
    Column("ci_low", REAL, "lower end of the 95 % bootstrap interval over patients"),
    Column("ci_high", REAL, "upper end of it"),
    Column("reason", TEXT, "why the value is null, or why the interval is not reliable"),
]
GRADCAM = [
    _TASK,
    Column("rank", INT, "1 is the most probable (image, level) pair"),
    _IMAGE_ID,
    _LEVEL,
    _PROBABILITY,
    _LABEL,
    Column("correct", BYTE, "the ensemble's decision agrees with the label"),
    Column("file", TEXT, "overlay, relative to the home"),
    Column("heatmap", TEXT, "heat map, relative to the home"),
]

# What the report and a reviewer ask of the predictions. A task is left out where it has nothing to say.
_UNIT = Column("unit", TEXT, "image or patient")
_LOW = Column("ci_low", REAL, "lower end of the 95 % bootstrap interval over patients")
_HIGH = Column("ci_high", REAL, "upper end of it")
_REASON = Column("reason", TEXT, "why something is null, or why the interval is not reliable")
_SPLIT = Column("split", TEXT, "validation (each image by the model that has not seen it) or test (ensemble)")
SUBGROUPS = [
    Column("by", TEXT, "hospital, view (not of multiview), sex, age, images (of the patient), collection"),
    Column("group", TEXT, "which of them"),
    Column("images", LONG, "images in the group; of multiview all images of its patients"),
    Column("patients", LONG, "their patients"),
    Column("positive_patients", LONG, "those with a positive image in the group; null at level all"),
    *(c for c in METRICS if c.name not in ("split", "fold")),
]
COMPARED = [
    Column("first", TEXT, "what is compared"),
    Column("second", TEXT, "with what; age_and_sex: a logistic regression on these two alone"),
    Column("unit", TEXT, "image or patient; averaging goes from image to patient"),
    Column("level", TEXT, "l1_2 … l5_s1, hnp, or all (the mean over the five)"),
    Column("auc_first", REAL, "AUC of the first"),
    Column("auc_second", REAL, "AUC of the second"),
    Column("difference", REAL, "first less second"),
    Column("ci_low", REAL, "lower end of the paired bootstrap interval over patients"),
    Column("ci_high", REAL, "upper end of it"),
    Column("p_value", REAL, "two-sided; DeLong (patient), Obuchowski (image)"),
    Column("images", LONG, "images that both have; null where both answer for patients"),
    Column("patients", LONG, "their patients"),
    _REASON,
]
COMPARISONS = [_SPLIT, *COMPARED]
AVERAGING = [_TASK, *COMPARED]
JUDGED = [
    _TASK,
    _SPLIT,
    Column("scaling", TEXT, "none, or temperature: fitted on validation for each fold and level"),
    _UNIT,
    _LEVEL,
]
RELIABILITY = [
    *JUDGED,
    Column("bin", INT, "0 is the least probable; all of about one size"),
    Column("examples", LONG, "images or patients in the bin"),
    Column("predicted", REAL, "their mean probability"),
    Column("observed", REAL, "the share of them that is positive"),
    *(_LOW, _HIGH, _REASON),
]
CALIBRATION = [
    *JUDGED,
    Column("brier", REAL, "mean squared difference of probability and label"),
    *(_LOW, _HIGH, _REASON),
    Column("ece", REAL, "expected calibration error over the bins of the reliability curve"),
    Column("temperature", REAL, "mean over the folds; null without scaling, and for hnp of the five levels"),
]
DECISION_CURVE = [
    *JUDGED,
    Column("threshold", REAL, "probability from which one would act"),
    Column("net_benefit", REAL, "of acting on the model; of acting on no one it is 0"),
    *(_LOW, _HIGH, _REASON),
    Column("treat_all", REAL, "net benefit of acting on everyone"),
]
LEVEL_MATRIX = [
    *(_TASK, _SPLIT, _UNIT),
    Column("score_level", TEXT, "whose score"),
    Column("label_level", TEXT, "against whose label"),
    Column("auc", REAL, "from 0 to 1; null where the label lacks a class"),
    *(_LOW, _HIGH, _REASON),
]
LEVEL_LEAD = [
    *(_TASK, _SPLIT, _UNIT),
    Column("level", TEXT, "the label's level, or all: the mean over the five"),
    Column("lead", REAL, "AUC of its own score less the mean AUC of the other four"),
    *(_LOW, _HIGH, _REASON),
    Column("patients", INT, "patients asked"),
]
LOCALISATION = [
    _TASK,
    Column("level", TEXT, "the level asked for, or all of them"),
    Column("maps", LONG, "heat maps of positive images whose discs are known"),
    Column("patients", LONG, "their patients"),
    Column("share", REAL, "mean share of a map's heat that falls on the named disc's box"),
    *(_LOW, _HIGH, _REASON),
    Column("chance", REAL, "mean share of the picture that this box takes"),
    Column("other_discs", REAL, "mean share of the heat that falls on each of the other four boxes"),
    Column(
        "other_chance", REAL, "mean share of the picture that each of these takes: a herniated disc is thin"
    ),
    Column("nearest", REAL, "share of maps whose hottest place is nearest to the named disc; by chance .2"),
    Column("hits", REAL, "share of maps whose hottest place lies on the named disc (pointing game)"),
]

# The tables in tables/, and what each is for.
TABLES: dict[str, tuple[str, list[Column]]] = {
    "radiographs": ("Every row of the x-ray exports, typed, with its image's size and hash", RADIOGRAPHS),
    "readings": ("Every usable MRI reading with its labels and where they came from", READINGS),
    "surgeries": ("Surgeries that were delivered", SURGERIES),
    "cohort": ("The images of the study with their labels, split and fold", COHORT),
    "exclusions": ("Every image that is not in the cohort, with the one reason", EXCLUSIONS),
    "rejected_rows": ("Readings and surgeries that cannot be used", REJECTED_ROWS),
    "reading_disagreements": (
        "Levels of a reading whose column says one thing and whose text another",
        READING_DISAGREEMENTS,
    ),
    "cohort_flow": ("Images and patients after each rule", COHORT_FLOW),
    "validation_predictions": (
        "Each fold model's probabilities on the fold it has not seen",
        VALIDATION_PREDICTIONS,
    ),
    "test_image_predictions": ("Each fold model's probabilities on every test image", TEST_IMAGE_PREDICTIONS),
    "test_predictions": ("The ensemble's probabilities and decisions, by patient", TEST_PREDICTIONS),
    "thresholds": ("Operating points chosen on validation", THRESHOLDS),
    "metrics": ("Every figure of the study with its interval", METRICS),
    "gradcam": ("The most probable test (image, level) pairs and their heat maps", GRADCAM),
    "subgroups": ("The ensemble's test figures by hospital, view, sex, age, images, collection", SUBGROUPS),
    "comparisons": ("Paired differences in AUC: task and task, task and age with sex", COMPARISONS),
    "averaging": ("What averaging over folds and over a patient's images brought", AVERAGING),
    "calibration": ("Brier score and calibration error, before and after temperature scaling", CALIBRATION),
    "reliability": ("Predicted against observed shares of herniation", RELIABILITY),
    "decision_curve": ("Net benefit of acting on the probabilities, by patient", DECISION_CURVE),
    "level_matrix": ("AUC of every level's score against every level's label", LEVEL_MATRIX),
    "level_lead": ("By how much a level's own score leads the other four", LEVEL_LEAD),
    "localisation": ("How much of the heat falls on the named disc, where discs are known", LOCALISATION),
}


def schema(columns: list[Column]) -> pa.Schema:
    """The Arrow schema of some columns, with their meanings as field metadata."""
    return pa.schema([pa.field(c.name, c.type, metadata={"description": c.meaning}) for c in columns])


def empty(columns: list[Column]) -> pa.Table:
    """A table of zero rows with these columns."""
    return schema(columns).empty_table()
