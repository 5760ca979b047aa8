"""Grad-CAM against captum and a plain forward pass, one model on the CPU.

    .venv/bin/python -m benchmarks.gradcam [--backbone tf_efficientnet_b5] [--size 456] [--images 8] [--batch 4]

Random weights, batch-norm statistics from random pictures (the arithmetic is the same); every image at one output, as the
paper's 300 pairs are. captum is called image by image, as its tutorial does. The package `grad-cam` takes part where it
is installed (`pip install grad-cam`; the project does not need it), batch by batch as its README does. Each way takes
turns with the others, and the best of the rounds counts. The maps are compared image by image: an untrained B5 is so
unsteady that the rounding of another batch size alone moves its maps by some hundredths.
"""

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import cv2
import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from hnp_pipeline import study
from hnp_pipeline.explanation.gradcam import class_maps
from hnp_pipeline.training.backbone import Network, build_model


class FromFloat(nn.Module):
    """The network without its normalisation: captum wants gradients at the input."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.classifier(self.network.body(x))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="tf_efficientnet_b5")
    parser.add_argument("--size", type=int, default=456)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    network = made_up(options.backbone)
    shape = (options.images, options.size, options.size)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    batches = pixels.split(options.batch)
    reference = LayerGradCam(FromFloat(network), network.body.conv_head)  # type: ignore[arg-type]

    @torch.no_grad()
    def plain() -> Tensor:
        return torch.cat([network(part) for part in batches])

    def ours() -> Tensor:
        return torch.cat([class_maps(network, part, 5)[:, 2] for part in batches])

    def captum() -> Tensor:
        one_by_one = (network.normalise(picture[None]).requires_grad_() for picture in pixels)
        maps = [reference.attribute(x, target=2, relu_attributions=True)[:, 0] for x in one_by_one]
        return torch.cat(maps).detach()

    ways: dict[str, Callable[[], Tensor]] = {"plain forward pass": plain, "ours": ours, "captum": captum}
    if find_spec("pytorch_grad_cam"):
        ways["grad-cam"] = grad_cam(network, batches)
    best = dict.fromkeys(ways, float("inf"))
    maps: dict[str, Tensor] = {}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            maps[name] = way()
            best[name] = min(best[name], time.perf_counter() - start)
    print(
        f"{options.backbone}, {options.size} px, {options.images} images, {torch.get_num_threads()} threads"
    )
    for name, seconds in best.items():
        ms = 1000 * seconds / options.images
        print(f"  {name:20} {ms:8.0f} ms an image   {seconds / best['plain forward pass']:.2f} × plain")
    for peer in list(ways)[2:]:
        print(f"  {peer} / ours: {best[peer] / best['ours']:.1f}")
    alone = torch.cat([class_maps(network, picture[None], 5)[:, 2] for picture in pixels])
    error = (alone - maps["captum"]).abs().amax() / maps["captum"].amax()
    print(f"  largest difference from captum's maps: {float(error):.1e} of the maximum")
    if "grad-cam" in maps:  # it stretches each map from 0 to 1 over the picture
        difference = (stretched(maps["ours"], options.size) - maps["grad-cam"]).abs().amax()
        print(f"  largest difference from grad-cam's maps: {float(difference):.1e} of the maximum")


def grad_cam(network: Network, batches: Sequence[Tensor]) -> Callable[[], Tensor]:
    """The package as its users call it, on a network of its own whose weights have gradients, as after training."""
    from pytorch_grad_cam import GradCAM  # type: ignore[import-not-found]
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # type: ignore[import-not-found]

    own = copy.deepcopy(network).requires_grad_(True)
    cam = GradCAM(model=FromFloat(own), target_layers=[own.body.conv_head])

    def maps() -> Tensor:
        found = [
            cam(input_tensor=own.normalise(part), targets=[ClassifierOutputTarget(2)] * len(part))
            for part in batches
        ]
        return torch.from_numpy(np.concatenate(found))

    return maps


def stretched(maps: Tensor, size: int) -> Tensor:
    """Each map from 0 to 1, over the picture."""
    images = []
    for found in maps.clamp(min=0).numpy():
        scaled = (found - found.min()) / (1e-7 + np.ptp(found))
        images.append(cv2.resize(scaled, (size, size)))
    whole = np.stack(images)
    low, high = whole.min(axis=(1, 2), keepdims=True), whole.max(axis=(1, 2), keepdims=True)
    return torch.from_numpy((whole - low) / (1e-7 + high - low))


def made_up(backbone: str) -> Network:
    torch.manual_seed(0)
    training = study.Training(backbone=backbone, weights=study.Weights(source="random"))
    network = build_model(training, 5, pretrained=False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of the pictures seen, as after training
    with torch.no_grad():
        network.train()(torch.randint(0, 256, (8, 128, 128), dtype=torch.uint8))
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
