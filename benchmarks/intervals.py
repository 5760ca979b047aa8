"""Bootstrap intervals: their time against scikit-learn in a loop, and how often they hold the truth.

    .venv/bin/python -m benchmarks.intervals speed [--draws 2000] [--peer-draws 10]
    .venv/bin/python -m benchmarks.intervals coverage [--repetitions 1000] [--positives 100] [--negatives 100]

`speed`: the test set of the paper (18,014 images, 3,512 patients, five levels and any of them), one model, every
figure by image and by patient. The peer resamples patients and calls scikit-learn for each draw, level and unit;
it is timed on a few draws and its time for all of them follows; on those draws all figures are compared.
`coverage`: patients of both classes with 1 to 9 images each, scores with a known AUC; how many of the intervals
hold it, by image and by patient. 1,000 repetitions tell a share of .95 to within .014.
(Not called statistics.py: as a script's neighbour that name would hide Python's own module.)
"""

import argparse
import math
import time

import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

from hnp_pipeline.evaluation.bootstrap import auc_draws, interval, resample
from hnp_pipeline.evaluation.metrics import FIGURES, estimate
from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.evaluation.thresholds import decide, thresholds
from hnp_pipeline.vocabulary import LEVELS

PREVALENCES = (0.0311, 0.0610, 0.1120, 0.2916, 0.2487)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    timed = commands.add_parser("speed")
    timed.add_argument("--draws", type=int, default=2000)
    timed.add_argument("--peer-draws", type=int, default=10)
    simulated = commands.add_parser("coverage")
    simulated.add_argument("--repetitions", type=int, default=1000)
    simulated.add_argument("--draws", type=int, default=2000)
    simulated.add_argument("--positives", type=int, default=100)
    simulated.add_argument("--negatives", type=int, default=100)
    options = vars(parser.parse_args())
    {"speed": speed, "coverage": coverage}[options.pop("command")](**options)


def speed(draws: int, peer_draws: int) -> None:
    images = test_set(3512, 18014)
    start = time.perf_counter()
    counts = resample(len(images.patients), draws, 2022)
    cut = thresholds(images.with_hnp(), "youden")
    ours = {}
    for unit, scores in images.units().items():
        ours[unit] = estimate(scores, decide(scores.probability, cut), counts, unit).draws
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    worst = 0.0
    for unit, scores in images.units().items():
        theirs = peer(scores, decide(scores.probability, cut), counts[1 : 1 + peer_draws])
        worst = max(worst, float(np.nanmax(abs(theirs - ours[unit][1 : 1 + peer_draws, :, :6]))))
    peer_seconds = (time.perf_counter() - start) / peer_draws * draws
    print(f"{draws} draws of 3,512 patients, 18,014 images, six levels, {len(FIGURES)} figures, two units")
    print(f"  ours                     {seconds:10.1f} s")
    print(
        f"  scikit-learn in a loop   {peer_seconds:10.0f} s  (from {peer_draws} draws)  {peer_seconds / seconds:.0f} ×"
    )
    print(f"  largest difference on the same draws: {worst:.1e}")


def peer(scores: Scores, predicted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The same draws as their users write it."""
    draws = np.full((len(counts), len(FIGURES), len(scores.levels)), np.nan)
    for b, count in enumerate(counts):
        rows = np.repeat(np.arange(len(scores.patient)), count[scores.patient])
        for j in range(len(scores.levels)):
            y, p, d = scores.label[rows, j], scores.probability[rows, j], predicted[rows, j]
            prf = precision_recall_fscore_support(y, d, labels=[1, 0], zero_division=np.nan)[:3]
            draws[b, :, j] = [
                roc_auc_score(y, p),
                accuracy_score(y, d),
                *(x[0] for x in prf),
                *(x[1] for x in prf),
            ]
    return draws


def test_set(patients: int, images: int) -> Scores:
    """Labels at the paper's prevalences, each level's AUC about .7 by image."""
    rng = np.random.default_rng(0)
    patient = np.sort(np.r_[np.arange(patients), rng.integers(0, patients, images - patients)])
    label = (rng.random((patients, 5)) < PREVALENCES).astype(np.int8)
    latent = (0.8 * label + rng.normal(0, 0.8, label.shape))[patient] + rng.normal(0, 0.7, (images, 5))
    probability = 1 / (1 + np.exp(-latent))
    names = np.arange(images).astype(object)
    return Scores(LEVELS, probability, label[patient], patient, np.arange(patients).astype(object), names)


def coverage(repetitions: int, draws: int, positives: int, negatives: int) -> None:
    """Latents N(d·label, 1): half the variance is the patient's, half the image's."""
    rng = np.random.default_rng(1)
    d = 0.8
    held = {"image": 0, "patient": 0}
    widths = {"image": 0.0, "patient": 0.0}
    label = np.repeat([1, 0], [positives, negatives])
    n = len(label)
    for k in range(repetitions):
        images = rng.integers(1, 10, n)
        patient = np.repeat(np.arange(n), images)
        score = (d * label + rng.normal(0, math.sqrt(0.5), n))[patient] + rng.normal(
            0, math.sqrt(0.5), len(patient)
        )
        counts = resample(n, draws, k)[1:]
        mean = np.bincount(patient, score) / images
        # by patient the error's variance depends on the number of images: the true AUC is averaged over both
        sizes = np.arange(1, 10)
        variance = 0.5 + 0.5 / sizes
        pairs = d / np.sqrt(variance[:, None] + variance)
        truth = {"image": phi(d / math.sqrt(2)), "patient": float(np.mean([phi(x) for x in pairs.ravel()]))}
        for unit, (s, y, who) in {
            "image": (score, label[patient], patient),
            "patient": (mean, label, np.arange(n)),
        }.items():
            low, high = interval(auc_draws(s, y, who, counts), 0.95)
            held[unit] += bool(low <= truth[unit] <= high)
            widths[unit] += float(high - low) / repetitions
    print(
        f"{positives} positive and {negatives} negative patients, {repetitions} repetitions of {draws} draws"
    )
    for unit in held:
        print(
            f"  by {unit:8} true AUC {truth[unit]:.4f}: {held[unit] / repetitions:.1%} held, mean width {widths[unit]:.3f}"
        )


def phi(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


if __name__ == "__main__":
    main()
