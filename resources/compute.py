"""A step's share of the machine, or of the cluster."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hnp_pipeline import study

if TYPE_CHECKING:
    from hnp_pipeline.imaging.shards import Spread

_CPUS = "HNP_CPUS"  # tells a step on Ray how many it was given


@dataclass(frozen=True)
class Compute:
    """Threads and device, by the study's settings."""

    settings: study.Compute

    @property
    def threads(self) -> int:
        """Threads of a step: the setting, else its share of a cluster, else every core this process may use."""
        given = int(float(os.environ.get(_CPUS, 0)))
        return self.settings.threads or given or len(os.sched_getaffinity(0))

    def device(self) -> str:
        """`cuda` where there is one and the setting allows it, else `cpu`."""
        import torch

        if self.settings.device != "auto":
            return self.settings.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    def devices(self) -> int:
        """GPUs that share each batch of a fold: those of its share of a cluster; 1 on one machine, or on CPUs."""
        if self.settings.executor != "ray" or self.device() == "cpu":
            return 1
        return max(1, int(share_of(self.settings, "fold_model").gpus))

    def spread(self) -> "Spread | int":
        """Where the images of a cache are made: on the cluster's nodes, or by so many threads here."""
        if self.settings.executor != "ray":
            return self.threads
        from resources.shards import OnRay

        return OnRay(self.settings.ray.clahe_cache, self.settings.ray.images_per_shard)


def share_of(settings: study.Compute, step: str) -> study.Share:
    """What a Ray cluster sets aside for a step, by its asset's last name.

    A GPU is asked for only where `device` allows one. `clahe_cache` asks for nothing itself: its shards do.
    """
    if step == "clahe_cache":
        return study.Share(cpus=0)
    share: study.Share = getattr(settings.ray, step) if step in study.Ray.model_fields else settings.ray.other
    return share.model_copy(update={"gpus": 0.0}) if settings.device == "cpu" else share


def reserved(settings: study.Compute, step: str = "other") -> dict[str, Any]:
    """Op tags that dagster-ray reads; none on one machine."""
    if settings.executor != "ray":
        return {}
    share = share_of(settings, step)
    variables = {_CPUS: f"{share.cpus:g}"} if share.cpus >= 1 else {_CPUS: "1"}
    asked = {
        "num_cpus": share.cpus,
        "num_gpus": share.gpus or None,
        "memory": int(share.memory_gb * 1e9) if share.memory_gb else None,
        "runtime_env": {"env_vars": variables},
    }
    return {"dagster-ray/config": {k: v for k, v in asked.items() if v is not None}}
