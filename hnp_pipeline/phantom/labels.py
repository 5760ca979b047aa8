"""Labels, their severities, and the most that any reader of the severities can reach (design 12)."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from hnp_pipeline.vocabulary import LEVELS

Reals = np.ndarray
Labels = np.ndarray


@dataclass(frozen=True)
class Signal:
    """How often a level is herniated, and how far that moves its severity."""

    name: str
    prevalences: tuple[float, ...]
    effects: tuple[float, ...]  # d: the mean severity of the herniated, in standard deviations of the healthy
    correlation: float = 0.24  # between levels, of the liabilities


SIGNALS = {
    "strong": Signal("strong", (0.3,) * 5, (2.33,) * 5),
    "paper": Signal("paper", (0.0311, 0.0610, 0.1120, 0.2916, 0.2487), (0.845, 0.772, 0.671, 0.731, 0.814)),
}


def draw(signal: Signal, patients: int, rng: np.random.Generator) -> tuple[Labels, Reals]:
    """Labels (n, 5) int8 from a one-factor Gaussian copula, and severities (n, 5): d·label + N(0, 1)."""
    factor = rng.normal(size=(patients, 1))
    own = rng.normal(size=(patients, len(LEVELS)))
    liability = np.sqrt(signal.correlation) * factor + np.sqrt(1 - signal.correlation) * own
    labels = (liability > ndtri(1 - np.array(signal.prevalences))).astype(np.int8)
    return labels, np.array(signal.effects) * labels + rng.normal(size=labels.shape)


def patterns(signal: Signal) -> tuple[Labels, Reals]:
    """The 32 patterns of labels (32, 5) and their probabilities, the factor integrated by Gauss-Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    threshold = ndtri(1 - np.array(signal.prevalences))
    rho = signal.correlation
    positive = ndtr((np.sqrt(rho) * nodes[:, None] - threshold) / np.sqrt(1 - rho))  # (nodes, 5)
    pattern = (np.arange(32)[:, None] >> np.arange(5)) & 1
    each = np.where(pattern[:, None, :] == 1, positive, 1 - positive).prod(2)  # (32, nodes)
    return pattern.astype(np.int8), each @ weights / weights.sum()


def posterior(signal: Signal, severities: Reals) -> Reals:
    """Probability (n, 5) of each label given all five severities (n, 5) of the patient."""
    pattern, prior = patterns(signal)
    means = pattern * np.array(signal.effects)  # (32, 5)
    evidence = severities @ means.T - 0.5 * (means**2).sum(1) + np.log(prior)
    likelihood = np.exp(evidence - evidence.max(1, keepdims=True))
    return likelihood @ pattern / likelihood.sum(1, keepdims=True)


def own_auc(signal: Signal) -> Reals:
    """AUC (5) of a level's own severity for its label: Φ(d/√2)."""
    return ndtr(np.array(signal.effects) / np.sqrt(2))


@cache
def ceilings(signal: Signal, draws: int = 200_000, seed: int = 0) -> Reals:
    """The highest AUC (5) that a reader of all five severities can reach, by Monte Carlo."""
    labels, severities = draw(signal, draws, np.random.default_rng(seed))
    found = sample_auc(labels, posterior(signal, severities))
    found.flags.writeable = False  # one array serves every caller
    return found


def sample_auc(labels: Labels, scores: Reals) -> Reals:
    """AUC (levels) of scores (n, levels) for labels (n, levels); NaN where a class is missing."""
    positive = labels.sum(0).astype(np.float64)
    negative = len(labels) - positive
    ranks = np.where(labels == 1, rankdata(scores, axis=0), 0).sum(0) if len(labels) else positive
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ranks - positive * (positive + 1) / 2) / (positive * negative)
