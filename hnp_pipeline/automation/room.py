"""Where runs are made, and whether one more has room there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from hnp_pipeline.automation.cluster import needs_ray
from hnp_pipeline.automation.planner import Target
from hnp_pipeline.errors import SettingsError
from hnp_pipeline.study import Compute, Ray, Share
from resources.compute import share_of

_LOOK_SECONDS = 5.0  # between two looks at a cluster's nodes


class Room(Protocol):
    """A machine, or a cluster.

    Attributes:
        preload: what a run's process needs of imports, made once and forked.
    """

    preload: ClassVar[list[str]]

    def fits(self, running: Sequence[Target], target: Target, /) -> bool:
        """Whether there is room for one more beside those that run."""
        ...

    def refusal(self, target: Target, /) -> str | None:
        """Why there will never be room for it, if so."""
        ...


@dataclass(frozen=True)
class Machine:
    """This machine: so many runs side by side."""

    preload: ClassVar = ["hnp_pipeline.automation.warm"]
    jobs: int

    def fits(self, running: Sequence[Target], _target: Target, /) -> bool:
        """Whether fewer run than may."""
        return len(running) < self.jobs

    def refusal(self, _target: Target, /) -> str | None:
        """None: everything runs here."""
        return None


@dataclass
class Cluster:
    """The nodes of a Ray cluster, and whether they have room for a step."""

    preload: ClassVar = ["hnp_pipeline.definitions", "dagster_ray", "ray.job_submission"]
    compute: Compute
    _nodes: list[dict[str, float]] = field(default_factory=list)
    _looked: float = -_LOOK_SECONDS

    @property
    def nodes(self) -> list[dict[str, float]]:
        """What each living node has in all: `CPU`, `GPU`, `memory` (bytes) …

        Raises:
            SettingsError: Ray is not installed, or no cluster answers.
        """
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            needs_ray()
            from ray.util.state import list_nodes
            from ray.util.state.exception import RayStateApiException

            try:
                found = list_nodes(self.compute.ray.address, filters=[("state", "=", "ALIVE")], limit=10_000)
            except (RayStateApiException, ConnectionError, OSError):
                if self._nodes:  # a hiccup: what was seen last serves
                    return self._nodes
                raise SettingsError(
                    f"no Ray cluster answers at {self.compute.ray.address} (compute.ray.address): start one,"
                    " or set HNP_EXECUTOR=local"
                ) from None
            self._nodes = [n.resources_total for n in found]
            self._looked = time.monotonic()
        return self._nodes

    def fits(self, running: Sequence[Target], target: Target, /) -> bool:
        """Whether the cluster as a whole has the step's share free beside what runs; Ray finds the node.

        So no job waits in Ray's queue for long, where it would fail after RAY_JOB_START_TIMEOUT_SECONDS.
        """
        shares = [self._asked(t) for t in [*running, target]]
        room = len(running) < self.compute.ray.jobs
        return room and all(
            sum(s[k] for s in shares) <= sum(n.get(k, 0.0) for n in self.nodes) for k in shares[-1]
        )

    def refusal(self, target: Target, /) -> str | None:
        """Why no node can ever take this step; None where one can."""
        asked = self._asked(target)
        if any(all(node.get(k, 0.0) >= v for k, v in asked.items()) for node in self.nodes):
            return None
        told = ", ".join(_told(k, v) for k, v in asked.items() if v)
        best = max(self.nodes, key=lambda n: (n.get("GPU", 0.0), n.get("CPU", 0.0)), default={})
        return (
            f"no node of the Ray cluster has {told}, which compute.ray.{self._name(target)} asks for; the largest has "
            + ", ".join(_told(k, best.get(k, 0.0)) for k in asked)
        )

    def _name(self, target: Target) -> str:
        name = target.key.path[-1]
        return name if name in Ray.model_fields else "other"

    def _asked(self, target: Target) -> dict[str, float]:
        share: Share = share_of(self.compute, self._name(target))
        return {"CPU": share.cpus, "GPU": share.gpus, "memory": (share.memory_gb or 0.0) * 1e9}


def _told(resource: str, amount: float) -> str:
    return {"CPU": f"{amount:g} CPUs", "GPU": f"{amount:g} GPUs"}.get(resource, f"{amount / 1e9:.1f} GB")
