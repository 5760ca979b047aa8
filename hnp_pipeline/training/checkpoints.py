"""A training's state on disk: tensors and plain facts in one safetensors file, which cannot hold code."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hnp_pipeline import tables
from hnp_pipeline.errors import StepError


def save(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write both atomically: a reader finds the old file or the new one, whenever the process is killed."""
    whole = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with tables.replacing(path) as temporary:
        save_file(whole, temporary, metadata={"facts": json.dumps(facts)})


def sweep(directory: Path) -> None:
    """Remove what a killed process left half written: ours (`.….tmp`) and safetensors' own (`.tmp…`)."""
    for pattern in (".*.tmp", ".tmp*"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)


@contextmanager
def writing_told(what: str, directory: Path) -> Iterator[None]:
    """Turn a failure to write within into a message that says what to do.

    Raises:
        StepError: the disk is full, or the folder may not be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StepError(
            f"{what}: cannot write to {directory} ({reason}): make room, and run again"
        ) from error


def load(path: Path, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `save` wrote, if its facts carry this `fingerprint`; None for any other file, or none."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            if facts["fingerprint"] != fingerprint:
                return None
            return {k: file.get_tensor(k) for k in file.keys()}, facts  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state, flat: `optimiser.<parameter>.<name>`."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` gave, in the memory layout of each parameter."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            like = parameters[int(index)]
            if value.shape == like.shape:  # fused Adam walks parameter and moments side by side in memory
                value = torch.empty_like(like, memory_format=torch.preserve_format).copy_(value)
            state.setdefault(int(index), {})[name] = value.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def group(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors called `<name>.…`, without that prefix."""
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def fingerprint(*inputs: object) -> str:
    """What a checkpoint must agree on: all that the next epoch's bits depend on, the code too."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    text = json.dumps([*inputs, torch.__version__, np.__version__, code.hexdigest()])
    return hashlib.sha256(text.encode()).hexdigest()
