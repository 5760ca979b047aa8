from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from hnp_pipeline.explanation.gradcam import (
    class_maps,
    gradcam,
    has_closed_form,
    last_convolution,
    normalised,
)

EFFICIENT = ["test_efficientnet", "tf_efficientnet_lite0"]  # SiLU, ReLU6


class FromFloat(nn.Module):
    """The network without its normalisation, since reference implementations want gradients at the input."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network.classifier(self.network.body(x))


def _pixels(store) -> torch.Tensor:
    return torch.from_numpy(store.pictures[:4])


def _close(a: torch.Tensor, b: torch.Tensor) -> None:
    assert b.amax() > 0
    assert (a - b).abs().amax() <= 1e-4 * b.amax()


@pytest.mark.parametrize("backbone", EFFICIENT)
def test_closed_form_equals_captum(make_model, store, backbone: str) -> None:
    network = make_model(backbone).network
    assert has_closed_form(network.body)
    maps = class_maps(network, _pixels(store), 5)
    reference = LayerGradCam(FromFloat(network), network.body.conv_head)
    x = network.normalise(_pixels(store)).requires_grad_()
    theirs = [reference.attribute(x, target=j, relu_attributions=True)[:, 0] for j in range(5)]
    _close(maps, torch.stack(theirs, dim=1).detach())


def test_closed_form_equals_plain_autograd(make_model, store) -> None:
    network = make_model().network
    body, x = network.body, network.normalise(_pixels(store))
    with torch.no_grad():
        a = body.conv_head(body.blocks(body.bn1(body.conv_stem(x))))
    a.requires_grad_()
    logits = network.classifier(body.global_pool(body.bn2(a * 1)))
    torch.testing.assert_close(logits.detach(), network(_pixels(store)))
    expected = []
    for j in range(5):
        (gradient,) = torch.autograd.grad(logits[:, j].sum(), a, retain_graph=True)
        expected.append(torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1)).detach())
    _close(class_maps(network, _pixels(store), 5), torch.stack(expected, dim=1))


@pytest.mark.parametrize(
    ("backbone", "layer"), [("resnet18", "layer4.1.conv2"), ("mobilenetv3_small_050", "blocks.5.0.conv")]
)
def test_other_networks_take_the_last_convolution_with_a_map(
    make_model, store, backbone: str, layer: str
) -> None:
    network = make_model(backbone).network
    assert not has_closed_form(network.body)
    target = network.body.get_submodule(layer)
    assert last_convolution(network, _pixels(store)) is target
    reference = LayerGradCam(FromFloat(network), target)
    x = network.normalise(_pixels(store)).requires_grad_()
    theirs = [reference.attribute(x, target=j, relu_attributions=True)[:, 0] for j in (1, 3)]
    _close(class_maps(network, _pixels(store), 5)[:, [1, 3]], torch.stack(theirs, dim=1).detach())


def test_both_paths_agree_with_an_age_as_input(make_model, store, monkeypatch) -> None:
    network = make_model(task="multitask", age="input").network
    age = torch.tensor([[-1.0], [0.0], [1.0], [2.0]])
    closed = class_maps(network, _pixels(store), 5, age)
    monkeypatch.setattr("hnp_pipeline.explanation.gradcam.has_closed_form", lambda body: False)
    general = class_maps(network, _pixels(store), 5, age)
    _close(closed, general)


def test_no_backward_pass_through_the_network(make_model, store) -> None:
    """Weights that want gradients stay without, and nothing of the graph is kept."""
    network = make_model().network.requires_grad_(True)
    maps = class_maps(network, _pixels(store), 5)
    assert not maps.requires_grad
    assert all(p.grad is None for p in network.parameters())


def test_pairs_get_the_mean_of_the_models_normalised_maps(make_model, store) -> None:
    models = [make_model(fold=k) for k in range(3)]
    positions, outputs = np.array([7, 2, 7, 10, 0]), np.array([4, 0, 1, 3, 2])
    seen: list[float] = []
    maps = gradcam(models, store, positions, outputs, batch_size=2, report=lambda f, m: seen.append(f))
    assert maps.shape == (5, 3, 3) and maps.dtype == np.float32
    assert seen == [0.5, 1.0]  # four pictures, the one in two pairs once
    for heat, position, output in zip(maps, positions, outputs, strict=True):
        pixels = torch.from_numpy(store.pictures[position][None])
        own = [normalised(class_maps(m.network, pixels, 5))[0, output].numpy() for m in models]
        assert all(o.max() == 1 or not o.any() for o in own)
        np.testing.assert_allclose(heat, np.mean(own, axis=0), atol=1e-5)


def test_a_map_without_anything_positive_stays_zero() -> None:
    maps = normalised(torch.stack([torch.zeros(3, 3), torch.eye(3) * 0.25]))
    assert not maps[0].any()
    assert torch.equal(maps[1], torch.eye(3))


def test_no_pairs_no_maps(store) -> None:
    assert len(gradcam([], store, np.zeros(0, int), np.zeros(0, int))) == 0
