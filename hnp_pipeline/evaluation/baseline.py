"""What age and sex alone can tell: the paper's model may read little more than age."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.vocabulary import HNP, LEVELS, Split


def age_and_sex(cohort: pa.Table) -> Scores:
    """Logistic regression of each level and of `hnp` on age and sex, fit on development, for the test images.

    No penalty; age in standard deviations, sex as two indicators (male; unknown). A patient counts once,
    however many images there are.

    Args:
        cohort: COHORT.

    Returns:
        The test images' scores at the five levels and `hnp`; NaN at a level where development lacks a class.
    """
    from sklearn.linear_model import LogisticRegression

    levels = (*LEVELS, HNP)
    rows = cohort.sort_by([("patient_key", "ascending"), ("image_id", "ascending")])
    development = pc.equal(rows["split"], Split.DEVELOPMENT.value).to_numpy()
    age = rows["age"].to_numpy()
    known = age[development]
    mean, deviation = (known.mean(), known.std() or 1.0) if len(known) else (0.0, 1.0)
    sex = pc.fill_null(rows["sex"], "").to_numpy()
    features = np.c_[(age - mean) / deviation, sex == "M", sex == ""]
    label = np.column_stack([rows[k].to_numpy() for k in levels])
    keys = rows["patient_key"].combine_chunks().dictionary_encode()
    whose = keys.indices.to_numpy()
    weight = 1 / np.bincount(whose)[whose] if len(whose) else np.zeros(0)
    test = ~development
    probability = np.full((test.sum(), len(levels)), np.nan)
    for j in range(len(levels)):
        y = label[development, j]
        if len(np.unique(y)) == 2 and test.any():
            model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(features[development], y, sample_weight=weight[development])
            probability[:, j] = model.predict_proba(features[test])[:, 1]
    present, patient = np.unique(whose[test], return_inverse=True)
    names = rows["image_id"].combine_chunks().to_numpy(zero_copy_only=False)[test]
    patients = keys.dictionary.to_numpy(zero_copy_only=False)[present]
    return Scores(levels, probability, label[test].astype(np.int8), patient, patients, names)
