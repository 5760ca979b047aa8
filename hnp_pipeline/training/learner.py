"""The network under training: on its device, in its memory layout, with its optimiser."""

from typing import Any

import torch
from torch import Tensor

from hnp_pipeline import study
from hnp_pipeline.training import checkpoints
from hnp_pipeline.training.backbone import build_model, synchronised
from hnp_pipeline.training.devices import LAYOUTS, in_layout, tried
from hnp_pipeline.training.distributed import World
from hnp_pipeline.training.pooling import begin_as_mean
from hnp_pipeline.training.tasks import Task


class Learner:
    """What learns.

    Attributes:
        network: its weights, for inference and for saving.
        memory_format: the layout that it is trained in, once `begin` was called.
        memory: bytes of a GPU that training takes (`devices.room_for_images`), likewise.
    """

    def __init__(
        self, task: Task, training: study.Training, seed: int, device: torch.device, world: World
    ) -> None:
        """Fresh weights by `seed`, the same in every process of `world`."""
        self.training, self.device, self.world = training, device, world
        torch.manual_seed(seed)
        self.network = build_model(training, task.units, len(task.known))
        if task.pooled:
            begin_as_mean(self.network.classifier)
        self.network.to(device)
        self.memory_format, self.memory = "", 0
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=training.learning_rate, fused=True)

    def begin(self, pixels: Tensor, saved: tuple[dict[str, Tensor], str] | None) -> None:
        """Get ready to train on batches like `pixels`: from saved tensors and their layout, or from the start.

        A short trial finds the layout, and how much memory training takes.
        """
        # the times of eager layouts say nothing of compiled code, whose compiler prefers channels_last as well
        layouts = (saved[1],) if saved else LAYOUTS[:1] if self.training.compile else LAYOUTS
        found, self.memory = tried(self.network, pixels, self.training, layouts)
        self.memory_format = LAYOUTS[self.world.firsts(LAYOUTS.index(found), self.device)]
        if self.world.size > 1 and self.device.type == "cuda":
            self.network = synchronised(self.network)  # only now: each process makes its trial alone
        in_layout(self.network, self.memory_format)
        if saved:
            self.network.load_state_dict(checkpoints.group(saved[0], "model"))
            checkpoints.restore_optimiser(self.optimiser, saved[0])
        forward: Any = self.world.wrapped(self.network, self.device)
        # only training is compiled: its batches have one shape
        compiled = self.training.compile and self.device.type == "cuda"
        self._forward = torch.compile(forward) if compiled else forward

    def __call__(self, pixels: Tensor, known: Tensor) -> Tensor:
        """Logits of a training step."""
        return self._forward(pixels, known)

    def step(self, loss: Tensor, rate: float) -> None:
        """One step of the optimiser down the loss, at this learning rate."""
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the network's weights."""
        return {k: v.clone() for k, v in self.network.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """What `begin` goes on from."""
        model = {f"model.{k}": v for k, v in self.network.state_dict().items()}
        return model | checkpoints.optimiser_tensors(self.optimiser)
