"""A fold on several devices: a process each, which share every batch (DistributedDataParallel).

`train_fold` starts the processes itself when it is given more than one device; under `torchrun` it joins those that
are there. All of them go through the same steps with the same numbers of batches and keep the same history; the first
speaks and writes.
"""

import atexit
import datetime
import multiprocessing
import os
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist

from hnp_pipeline.errors import SettingsError, StepError, StudyError
from hnp_pipeline.training.batches import Batches

_TIMEOUT = datetime.timedelta(minutes=30)  # the longest that one process may lag behind another
_LAST_WORDS = 3.0  # seconds


@dataclass(frozen=True)
class World:
    """The processes of a training; alone, everything here does nothing."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes."""
        return self.rank == 0

    def share(self, batches: Batches) -> Batches:
        """This process's part of every batch: patients stay whole, and parts are filled up to one shape.

        What fills them counts for nothing in the loss (`Batches.real`), and every process has the same number of
        batches, so that none waits for a step that another does not take.
        """
        if self.size == 1:
            return batches
        owner = self._owners(batches)
        mine = owner == self.rank
        width = max(1, max(int((owner == r).sum(axis=1).max()) for r in range(self.size)))
        columns = np.argsort(~mine, axis=1, kind="stable")[:, :width]  # mine first, in their order

        def taken(values: np.ndarray) -> np.ndarray:
            return np.take_along_axis(values, columns, axis=1)

        real = taken(mine)
        group = None if batches.group is None else np.where(real, taken(batches.group), -1)
        weight = None if batches.weight is None else np.where(real, taken(batches.weight), 0)
        return Batches(taken(batches.order), group, weight, real.astype(np.float32))

    def _owners(self, batches: Batches) -> np.ndarray:
        """Which process each image of each batch falls to (steps, batch)."""
        steps, batch = batches.order.shape
        place = np.tile(np.arange(batch), (steps, 1))
        if batches.group is not None:  # a patient goes where the patient's first image does
            same = batches.group[:, :, None] == batches.group[:, None, :]
            same &= (batches.group >= 0)[:, :, None]
            place = np.where(same.any(axis=2), same.argmax(axis=2), place)
        return place * self.size // batch

    def sum(self, values: Tensor) -> Tensor:
        """The sum of what every process has, in place, the same bits in each."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def firsts(self, value: int, device: torch.device) -> int:
        """The first process's value."""
        if self.size == 1:
            return value
        return int(self.sum(torch.tensor(value if self.first else 0, device=device)))

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """A forward pass of `network` after which gradients are the mean over processes."""
        if self.size == 1:
            return network
        own = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=own, forward_sync_buffers=False)

    @torch.no_grad()
    def average_statistics(self, network: nn.Module) -> None:
        """Let every process have the mean of the batch norms' running statistics."""
        if self.size == 1:
            return
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                self.sum(buffer).div_(self.size)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


def leads() -> bool:
    """Whether this process speaks for all that torchrun started; it may not have met them yet."""
    return not _under_torchrun() or os.environ["RANK"] == "0"


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The processes that this one belongs to: `launch`'s, or torchrun's, or none other."""
    if dist.is_initialized():
        yield World(dist.get_rank(), dist.get_world_size())
    elif _under_torchrun():
        _open(device, int(os.environ.get("LOCAL_RANK", 0)))
        atexit.register(dist.destroy_process_group)  # torchrun's processes meet once
        yield World(dist.get_rank(), dist.get_world_size())
    else:
        yield World()


def launch(
    target: Callable[..., Any],
    arguments: dict[str, Any],
    size: int,
    device: str,
    heard: Mapping[str, Callable[..., Any]],
) -> Any:
    """Call `target` in `size` processes, one a device; returns what the first one's returns.

    Args:
        target: a function of a module; it finds its `World` by `joined`.
        arguments: what can be sent to a process.
        size: processes.
        device: `cpu` or `cuda`: then process k takes GPU k.
        heard: callbacks among the arguments, by name: they are called here, with what the first process calls
            its own with. What they raise stops all.

    Raises:
        StepError: a process died.
        SettingsError: more GPUs are asked for than torch sees.
        StudyError: what `target` raised in one of them.
        RuntimeError: the traceback of anything else that it raised.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        processes, ends = [], []
        try:
            for rank in range(size):
                end, theirs = context.Pipe(duplex=False)
                meeting = (rank, size, f"file://{folder}/meeting", device)
                process = context.Process(
                    target=_member, args=(target, arguments, meeting, tuple(heard), theirs), daemon=True
                )
                process.start()
                theirs.close()
                processes.append(process)
                ends.append(end)
            return _followed(processes, ends, heard)
        finally:
            for process in processes:
                process.kill()
                process.join()


def _followed(processes: list[Any], ends: list[Connection], heard: Mapping[str, Callable[..., Any]]) -> Any:
    """Pass on what the processes say until all are done; raise what went wrong in any."""
    ranks = {end: rank for rank, end in enumerate(ends)}
    told: dict[int, BaseException] = {}  # by rank
    result = None
    # one death takes the others along: a moment for each to say why
    while ranks and (ready := wait(list(ranks), timeout=_LAST_WORDS if told else None)):
        for end in ready:
            assert isinstance(end, Connection)
            rank = ranks[end]
            try:
                kind, content = end.recv()
            except EOFError:
                del ranks[end]
                processes[rank].join()
                if processes[rank].exitcode and rank not in told:
                    told[rank] = _DiedError(
                        f"process {rank + 1} of {len(processes)} of this training died (exit code"
                        f" {processes[rank].exitcode}): run again, it goes on from the last epoch"
                    )
                continue
            if kind == "error":
                told[rank] = content
            elif kind == "result":
                result = content
            elif not told:
                heard[kind](*content)
    if told:
        raise min(told.values(), key=_how_far_from_the_cause)
    return result


class _DiedError(StepError):
    """A process ended without a word."""


def _how_far_from_the_cause(error: BaseException) -> int:
    """A reason of ours, then a death, then what the others met with when one was gone."""
    return 1 if isinstance(error, _DiedError) else 0 if isinstance(error, StudyError) else 2


def _member(
    target: Callable[..., Any],
    arguments: dict[str, Any],
    meeting: tuple[int, int, str, str],
    heard: tuple[str, ...],
    end: Connection,
) -> None:
    """One process of `launch`."""
    os.umask(0o077)
    threading.Thread(target=_follow_parent, daemon=True).start()
    rank, size, address, device = meeting
    # one machine: nothing else need reach these processes
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    try:
        _open(device, rank, init_method=address, rank=rank, world_size=size)
        says = {name: _sender(end, name) if rank == 0 else _unheard for name in heard}
        result = target(**arguments, **says)
        if rank == 0:
            end.send(("result", result))
        dist.barrier()
    except StudyError as error:
        end.send(("error", error))
        os._exit(1)
    except BaseException:
        end.send(("error", RuntimeError(f"process {rank + 1} of {size}:\n{traceback.format_exc()}")))
        os._exit(1)
    dist.destroy_process_group()


def _under_torchrun() -> bool:
    return int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ


def _open(device: str, gpu: int, **how: Any) -> None:
    if device == "cuda":
        if gpu >= (seen := torch.cuda.device_count()):
            raise SettingsError(
                f"a process for GPU {gpu + 1} of this machine, but torch sees {seen}: start one process a GPU"
            )
        torch.cuda.set_device(gpu)
        how["device_id"] = torch.device("cuda", gpu)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_TIMEOUT, **how)


def _sender(end: Connection, kind: str) -> Callable[..., None]:
    return lambda *content: end.send((kind, content))


def _unheard(*_content: object) -> None:
    pass


def _follow_parent() -> None:
    """A killed parent takes its processes along."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
