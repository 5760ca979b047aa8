"""Do the heat maps depend on what was learnt, and do they fall where they should?"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.stats import rankdata

from hnp_pipeline.explanation.gradcam import gradcam
from hnp_pipeline.training.backbone import Network, build_model
from hnp_pipeline.training.batches import Images
from hnp_pipeline.training.inference import FoldModel


@dataclass(frozen=True)
class Likeness:
    """How alike the maps of the trained network and of one with fresh weights are, over many pairs.

    Attributes:
        randomised: which layers had fresh weights: `classifier`, or `network` (all of them).
        rank_correlation: mean of Spearman's ρ; a map of fresh weights without any structure counts 0.
        ssim: mean structural similarity (Wang et al. 2004) of the maps at 64 x 64.
        pairs: how many pairs of picture and output had a trained map with some structure.
    """

    randomised: str
    rank_correlation: float
    ssim: float
    pairs: int


@dataclass(frozen=True)
class Verdict:
    """The model parameter randomisation test (Adebayo et al., NeurIPS 2018, section 4).

    Attributes:
        changed: fresh weights in all layers give other maps: their rank correlation lies below `limit`.
        limit: what `rank_correlation` is held against.
        likenesses: with fresh weights in the classifier, and in all layers.
        empty: how many of the trained network's maps are the same everywhere: they cannot be asked. Where all are,
            nothing has been shown.
    """

    changed: bool
    limit: float
    likenesses: tuple[Likeness, ...]
    empty: int = 0

    def __str__(self) -> str:
        if not self.likenesses:
            return f"all {self.empty} heat maps are empty: they show nothing of the model"
        told = "; ".join(
            f"fresh {x.randomised}: rank correlation {x.rank_correlation:.2f}, SSIM {x.ssim:.2f}"
            for x in self.likenesses
        )
        words = "depend on the weights" if self.changed else "hardly depend on the weights"
        left_out = f", {self.empty} empty maps left out" if self.empty else ""
        return (
            f"the heat maps {words} ({told}; {self.likenesses[0].pairs} pairs{left_out}, limit {self.limit})"
        )


def randomisation_test(
    model: FoldModel,
    images: Images,
    positions: np.ndarray,
    outputs: np.ndarray,
    seed: int = 0,
    limit: float = 0.5,
    batch_size: int = 16,
) -> Verdict:
    """Whether fresh random weights change the heat maps: if not, the maps show the picture, not the model.

    Args:
        model: a trained fold model.
        images: pictures prepared with its imaging settings.
        positions: (n,) which picture of the store.
        outputs: (n,) which output of the task.
        seed: of the fresh weights.
        limit: the maps have changed when their mean rank correlation lies below it.
        batch_size: pictures at a time.
    """
    trained = gradcam([model], images, positions, outputs, batch_size=batch_size)
    structured = np.ptp(trained.reshape(len(trained), -1), axis=1) > 0
    empty = int((~structured).sum())
    if not structured.any():
        return Verdict(False, limit, (), empty)
    trained, positions, outputs = trained[structured], positions[structured], outputs[structured]
    likenesses = []
    for part, network in _randomised(model, seed).items():
        other = replace(model, network=network)
        fresh = gradcam([other], images, positions, outputs, batch_size=batch_size)
        likenesses.append(
            Likeness(
                part,
                float(rank_correlations(trained, fresh).mean()),
                float(_ssim(trained, fresh).mean()),
                len(trained),
            )
        )
    return Verdict(likenesses[-1].rank_correlation < limit, limit, tuple(likenesses), empty)


def _randomised(model: FoldModel, seed: int) -> dict[str, Network]:
    """The network with a fresh classifier, and with everything fresh."""
    networks = {}
    for part in ("classifier", "network"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = build_model(model.training, model.task.units, len(model.task.known), pretrained=False)
        if part == "classifier":
            fresh.body.load_state_dict(model.network.body.state_dict())
        networks[part] = fresh.to(model.device).eval().requires_grad_(False)
    return networks


def rank_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's ρ of each pair of maps (n, h, w): (n,), 0 where a map is the same everywhere."""
    x, y = (rankdata(m.reshape(len(m), -1), axis=1) for m in (a, b))
    x, y = (r - r.mean(axis=1, keepdims=True) for r in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.divide((x * y).sum(axis=1), scale, out=np.zeros(len(a)), where=scale > 0)


def _ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean structural similarity of each pair of maps at 64 x 64, Gaussian window of σ 1.5: (n,)."""

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    result = np.zeros(len(a))
    for i, pair in enumerate(zip(a, b, strict=True)):
        x, y = (cv2.resize(m.astype(np.float64), (64, 64), interpolation=cv2.INTER_LINEAR) for m in pair)
        mx, my = blur(x), blur(y)
        vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        c1, c2 = 0.01**2, 0.03**2
        result[i] = ((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()
    return result


@dataclass(frozen=True)
class Aim:
    """How well the maps point at boxes, each (n,).

    Attributes:
        share: of the map's heat that falls inside; NaN for a map of zeros.
        chance: the box's share of the picture: what a map without aim has on average.
        hit: the hottest place lies inside (pointing game, Zhang et al., IJCV 2018); false for a map of zeros.
    """

    share: np.ndarray
    chance: np.ndarray
    hit: np.ndarray


def aim(heats: np.ndarray, centres: np.ndarray, sizes: np.ndarray, resolution: int = 256) -> Aim:
    """Where the heat falls, against boxes of known place (the phantom's discs).

    Args:
        heats: (n, h, w) maps, of any resolution.
        centres: (n, 2) the boxes' middles, x and y, as shares of the picture's width and height.
        sizes: (n, 2) the boxes' widths and heights, likewise.
        resolution: the maps are enlarged (bilinear) to this many pixels a side before they are asked.
    """
    middle = (np.arange(resolution) + 0.5) / resolution
    inside_x, inside_y = (abs(middle - centres[:, i, None]) <= sizes[:, i, None] / 2 for i in (0, 1))
    n = len(heats)
    share, hit = np.full(n, np.nan), np.zeros(n, bool)
    chance = inside_x.mean(axis=1) * inside_y.mean(axis=1)
    for i, heat in enumerate(heats):
        large = cv2.resize(heat.astype(np.float32), (resolution, resolution), interpolation=cv2.INTER_LINEAR)
        if large.max() > 0:
            share[i] = inside_y[i] @ large.astype(np.float64) @ inside_x[i] / large.sum(dtype=np.float64)
            # an enlarged map is highest in the middle of its highest cell
            y, x = np.unravel_index(np.argmax(heat), heat.shape)
            place = (x + 0.5) / heat.shape[1], (y + 0.5) / heat.shape[0]
            hit[i] = np.all(abs(place - centres[i]) <= sizes[i] / 2)
    return Aim(share, chance, hit)
