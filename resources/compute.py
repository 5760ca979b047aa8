"""The machine's share for a step."""

import os
from dataclasses import dataclass

from hnp_pipeline import study


@dataclass(frozen=True)
class Compute:
    """Threads and device of this machine, by the study's settings."""

    settings: study.Compute

    @property
    def threads(self) -> int:
        """Threads of a step: the setting, else every core this process may use."""
        return self.settings.threads or len(os.sched_getaffinity(0))

    def device(self) -> str:
        """`cuda` where there is one and the setting allows it, else `cpu`."""
        import torch

        if self.settings.device != "auto":
            return self.settings.device
        return "cuda" if torch.cuda.is_available() else "cpu"
