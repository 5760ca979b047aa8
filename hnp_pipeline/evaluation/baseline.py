"""What age and sex alone can tell: the paper's model may read little more than age."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.vocabulary import HNP, LEVELS, Split


def age_and_sex(cohort: pa.Table, fold: int | None = None) -> Scores:
    """Logistic regression of each level and of `hnp` on age and sex, for images that it has not seen.

    Fit on development for the test images; or, of a fold, on the other folds for that one's images.

    No penalty; age in standard deviations, sex as two indicators (male; unknown). A patient counts once,
    however many images there are.

    Args:
        cohort: COHORT.
        fold: whose images are asked about; None asks about the test images.

    Returns:
        The images' scores at the five levels and `hnp`; NaN at a level where the fitted images lack a class.
    """
    from sklearn.linear_model import LogisticRegression

    levels = (*LEVELS, HNP)
    rows = cohort.sort_by([("patient_key", "ascending"), ("image_id", "ascending")])
    split = Split.TEST if fold is None else Split.DEVELOPMENT
    asked, fitted = (pc.equal(rows["split"], s.value).to_numpy() for s in (split, Split.DEVELOPMENT))
    if fold is not None:
        inside = pc.fill_null(pc.equal(rows["fold"], fold), False).to_numpy()
        asked, fitted = asked & inside, fitted & ~inside
    age = rows["age"].to_numpy()
    known = age[fitted]
    mean, deviation = (known.mean(), known.std() or 1.0) if len(known) else (0.0, 1.0)
    sex = pc.fill_null(rows["sex"], "").to_numpy()
    features = np.c_[(age - mean) / deviation, sex == "M", sex == ""]
    label = np.column_stack([rows[k].to_numpy() for k in levels])
    keys = rows["patient_key"].combine_chunks().dictionary_encode()
    whose = keys.indices.to_numpy()
    weight = 1 / np.bincount(whose)[whose] if len(whose) else np.zeros(0)
    probability = np.full((asked.sum(), len(levels)), np.nan)
    for j in range(len(levels)):
        y = label[fitted, j]
        if len(np.unique(y)) == 2 and asked.any():
            model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(features[fitted], y, sample_weight=weight[fitted])
            probability[:, j] = model.predict_proba(features[asked])[:, 1]
    present, patient = np.unique(whose[asked], return_inverse=True)
    names = rows["image_id"].combine_chunks().to_numpy(zero_copy_only=False)[asked]
    patients = keys.dictionary.to_numpy(zero_copy_only=False)[present]
    return Scores(levels, probability, label[asked].astype(np.int8), patient, patients, names)
