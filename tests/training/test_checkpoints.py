import errno
import io
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from hnp_pipeline.errors import StepError
from hnp_pipeline.training import checkpoints
from hnp_pipeline.training.devices import in_layout


def test_round_trip_and_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    tensors = {"model.a": torch.randn(3, 4).t(), "model.b.c": torch.tensor(7), "best.a": torch.zeros(0, 5)}
    facts = {"fingerprint": "x", "history": [{"loss": 0.1 + 0.2, "auc": None}]}
    checkpoints.save(path, tensors, facts)
    found = checkpoints.load(path, "x")
    assert found is not None and found[1] == facts
    assert all(torch.equal(found[0][k], tensors[k]) for k in tensors)
    assert checkpoints.group(found[0], "model").keys() == {"a", "b.c"}
    assert checkpoints.load(path, "y") is None
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil-ran"),)


def _pickle() -> bytes:
    whole = io.BytesIO()
    torch.save(Evil(), whole)
    return whole.getvalue()


def _zip() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("x", "y")
    return whole.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"x" * 99, b"\xff" * 99, b"\x02\0\0\0\0\0\0\0{}", _pickle(), _zip()]
)
def test_anything_else_is_no_checkpoint(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    assert checkpoints.load(path, "x") is None
    path.write_bytes(content)
    assert checkpoints.load(path, "x") is None
    assert not Path("evil-ran").exists()


def test_every_cut_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoints.save(path, {"a": torch.arange(50)}, {"fingerprint": "x"})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert checkpoints.load(path, "x") is None, length


def test_full_disk_is_told(tmp_path: Path) -> None:
    said = pytest.raises(StepError, match=r"fold 1: cannot write to .*No space left on device.*: make room")
    with said, checkpoints.writing_told("training of level, fold 1", tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with said, checkpoints.writing_told("training of level, fold 1", tmp_path):
        raise SafetensorError(
            "I/O error: No space left on device (os error 28)"
        )  # what safetensors makes of it


def _step(network: torch.nn.Module, optimiser: torch.optim.Optimizer, pixels: torch.Tensor) -> None:
    optimiser.zero_grad()
    network(pixels).square().mean().backward()
    optimiser.step()


@pytest.mark.parametrize("layout", ["channels_last", "contiguous_format"])
def test_restored_optimiser_steps_alike(layout: str) -> None:
    """In every memory layout: the fused step walks weights and moments by their storage."""
    torch.manual_seed(0)
    pixels = torch.randn(2, 3, 8, 8)
    ends = []
    for interrupted in (False, True):
        torch.manual_seed(1)
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5))
        in_layout(network, layout)
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        _step(network, optimiser, pixels)
        if interrupted:
            kept = {
                k: v.detach().clone(memory_format=torch.contiguous_format)
                for k, v in checkpoints.optimiser_tensors(optimiser).items()
            }
            optimiser = torch.optim.Adam(network.parameters(), fused=True)
            checkpoints.restore_optimiser(optimiser, kept)
        _step(network, optimiser, pixels)
        ends.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(*ends)
