"""Shards of an image cache as tasks of a Ray cluster, on whichever nodes have room."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayTaskError

from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging.shards import Made, Shard, make_shard
from hnp_pipeline.study import Share

_TRIES_AGAIN = 10  # of a shard whose node died; an error of the shard's own is not tried again


@dataclass(frozen=True)
class OnRay:
    """Every shard is a task with this share of a node, which reads and writes the file system that all nodes share.

    What a task answers is small enough to lie with the one who asked, so a node that dies costs the shards it was
    at, and they are made again elsewhere.
    """

    share: Share
    images: int

    def __call__(self, shards: Sequence[Shard], tell: Callable[[int], None]) -> Iterator[Made]:
        """What became of each shard, in their order.

        Raises:
            StepError: as `make_shard`.
        """
        if not ray.is_initialized():  # inside a Ray job: its own cluster
            ray.init(log_to_driver=False)
        asked: dict[str, Any] = {"num_cpus": self.share.cpus, "max_retries": _TRIES_AGAIN}
        if self.share.memory_gb:
            asked["memory"] = int(self.share.memory_gb * 1e9)
        task = ray.remote(make_shard).options(scheduling_strategy="SPREAD", **asked)
        threads = max(1, int(self.share.cpus))
        waiting = [task.remote(shard, threads) for shard in shards]
        try:
            for shard, answer in zip(shards, waiting, strict=True):
                yield _made(answer)
                tell(len(shard.paths))
        finally:
            for answer in waiting:  # nothing for those that have ended
                ray.cancel(answer)


def _made(answer: "ray.ObjectRef[Made]") -> Made:
    try:
        return ray.get(answer)
    except RayTaskError as error:
        if isinstance(error.cause, StepError | OSError):
            raise error.cause from None
        raise
