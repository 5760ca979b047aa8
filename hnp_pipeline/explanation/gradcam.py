"""Grad-CAM of the fold models (Selvaraju et al., ICCV 2017, equations 1 and 2).

The map of output j is ReLU(Σ_k α_jk A_k): A the last convolution's K channels, α_jk the mean over positions
of ∂logit_j/∂A_k. In timm's EfficientNets that convolution (`conv_head`) is followed by norm, activation,
the mean over positions and one linear layer W, so that with z = γ(A - μ)/σ + β
    α_jk = W_jk / (h·w) · γ_k/σ_k · mean of activation'(z_k):
no backward pass, next to no cost beside the forward pass. Other networks take the general path by autograd.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hnp_pipeline.progress import Report, silent
from hnp_pipeline.training.backbone import Network
from hnp_pipeline.training.batches import Feeder, Images, in_order
from hnp_pipeline.training.devices import memory_told
from hnp_pipeline.training.inference import FoldModel


@memory_told("Grad-CAM: a batch of images", "lower explanation.batch_size, or set compute.device: cpu")
def gradcam(
    models: Sequence[FoldModel],
    images: Images,
    positions: np.ndarray,
    outputs: np.ndarray,
    ages: np.ndarray | None = None,
    batch_size: int = 16,
    report: Report = silent,
    views: Sequence[str] | np.ndarray | None = None,
) -> np.ndarray:
    """The mean of the models' maps for pairs of picture and output.

    Where a model answers for patients, a map is of the picture's own part in the answer, its attention held
    fixed: the attention weighs the whole picture, so it scales the map and is gone once that is normalised.

    Each model's map is first divided by its own largest value (a map without any positive value stays zero).
    The mean is not stretched again: where it stays well below 1, the models looked at different places.

    Args:
        models: of one task, on one device.
        images: gray uint8 pictures prepared with the models' imaging settings.
        positions: (n,) which picture of the store.
        outputs: (n,) which output of the task.
        ages: (n,) years, for models that take the age as an input; NaN or None stands as the training mean.
        views: (n,) likewise.
        batch_size: pictures at a time.
        report: told how far it is.

    Returns:
        float32 (n, h, w), 0 to 1, at the resolution of the last convolution. A picture that is in several
        pairs is computed once.

    Raises:
        StepError: a batch does not fit into memory.
    """
    if not len(positions):
        return np.zeros((0, 1, 1), np.float32)
    rows, first, which = np.unique(positions, return_index=True, return_inverse=True)
    own_ages, own_views = (None if k is None else np.asarray(k)[first] for k in (ages, views))
    scaled = [m.inputs(own_ages, own_views, len(rows)) for m in models]
    maps: np.ndarray | None = None
    start = 0
    for pixels in Feeder(images, models[0].device)(in_order(rows, batch_size)):
        part = slice(start, start + len(pixels))
        mean: Any = 0
        for model, known in zip(models, scaled, strict=True):
            own = class_maps(model.network, pixels, len(model.task.outputs), known[part])
            mean = mean + normalised(own) / len(models)
        if maps is None:
            maps = np.empty((len(positions), *mean.shape[2:]), np.float32)
        pairs = np.flatnonzero((which >= part.start) & (which < part.stop))
        maps[pairs] = mean.cpu().numpy()[which[pairs] - part.start, np.asarray(outputs)[pairs]]
        start = part.stop
        report(start / len(rows), f"{start} of {len(rows)} images")
    assert maps is not None
    return maps


def class_maps(network: Network, pixels: Tensor, outputs: int, known: Tensor | None = None) -> Tensor:
    """The Grad-CAM maps of one network's first `outputs` units, not normalised: float32 (B, outputs, h, w).

    Args:
        network: in evaluation mode.
        pixels: gray uint8 (B, H, W) on the network's device.
        outputs: how many units.
        known: (B, inputs) what the network is told beside the pixels, if it is.
    """
    closed = has_closed_form(network.body)
    return (_closed_form if closed else _by_autograd)(network, pixels, outputs, known)


def normalised(maps: Tensor) -> Tensor:
    """Each map (…, h, w) divided by its largest value; a map of zeros stays one."""
    top = maps.amax(dim=(-2, -1), keepdim=True)
    return maps / torch.where(top > 0, top, 1)


def has_closed_form(body: nn.Module) -> bool:
    """Whether the network ends in conv_head, batch norm with activation, and the mean over positions."""
    norm = getattr(body, "bn2", None)
    pool = getattr(body, "global_pool", None)
    return (
        isinstance(getattr(body, "conv_head", None), nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and norm.track_running_stats
        and isinstance(getattr(norm, "act", None), nn.Module)
        and isinstance(getattr(norm, "drop", None), nn.Identity)
        and getattr(pool, "pool_type", None) == "avg"
    )


@torch.no_grad()
def _closed_form(network: Network, pixels: Tensor, outputs: int, known: Tensor | None) -> Tensor:
    body: Any = network.body
    with _captured(body.conv_head) as kept:
        network(pixels, known)
    a = kept[-1]
    bn = body.bn2
    z = nn.functional.batch_norm(a, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
    gain = torch.rsqrt(bn.running_var + bn.eps) * (1 if bn.weight is None else bn.weight)
    slope = gain * _derivative(bn.act, z).mean(dim=(2, 3))  # (B, K)
    alpha = network.classifier.weight[:outputs, : a.shape[1]] * slope[:, None] / a[0, 0].numel()  # (B, J, K)
    return torch.relu(torch.bmm(alpha, a.flatten(2)).unflatten(2, a.shape[2:]))


def _derivative(activation: nn.Module, z: Tensor) -> Tensor:
    """The derivative of an element-wise function at z, whichever the network uses."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        return torch.autograd.grad(activation(leaf.clone()).sum(), leaf)[0]  # a clone: it may work in place


def _by_autograd(network: Network, pixels: Tensor, outputs: int, known: Tensor | None) -> Tensor:
    layer = last_convolution(network, pixels[:1], None if known is None else known[:1])
    with torch.enable_grad(), _captured(layer, as_leaf=True) as kept:
        logits = network(pixels, known)
        a = kept[-1]
        alphas = [
            torch.autograd.grad(logits[:, j].sum(), a, retain_graph=True)[0].mean(dim=(2, 3))
            for j in range(outputs)
        ]
    with torch.no_grad():
        return torch.relu(torch.bmm(torch.stack(alphas, dim=1), a.flatten(2)).unflatten(2, a.shape[2:]))


@torch.no_grad()
def last_convolution(network: Network, pixels: Tensor, known: Tensor | None = None) -> nn.Module:
    """The convolution that runs last among those whose output still has more than one position.

    Raises:
        ValueError: the network has none, so there is no Grad-CAM of it.
    """
    order: list[nn.Module] = []

    def note(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if output[0, 0].numel() > 1:
            order.append(module)

    handles = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    try:
        network(pixels, known)
    finally:
        for handle in handles:
            handle.remove()
    if not order:
        raise ValueError(
            "this network has no convolution with more than one position, so Grad-CAM has no map"
        )
    return order[-1]


@contextmanager
def _captured(layer: nn.Module, as_leaf: bool = False) -> Iterator[list[Tensor]]:
    """The layer's outputs while the body runs; `as_leaf` starts the gradient's path at them."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_() if as_leaf else output)
        return kept[-1].clone() if as_leaf else output  # a clone: what follows may work in place

    handle = layer.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()
