"""A fold on two processes: what one computes on the whole batch, two compute on their parts of it."""

import copy
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_sets import make_set

from hnp_pipeline import study
from hnp_pipeline.errors import SettingsError, StepError
from hnp_pipeline.training.backbone import Network, build_model, synchronised
from hnp_pipeline.training.batches import Batches, epoch_order
from hnp_pipeline.training.distributed import World, joined
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.epochs import EpochResult
from hnp_pipeline.training.pooling import patient_batches
from hnp_pipeline.training.results import FoldResult, NonFiniteError

IMAGING = study.Imaging(size=32)


@pytest.mark.parametrize(("batch", "size"), [(8, 2), (7, 2), (16, 3), (2, 4)])
def test_parts_of_a_batch_make_the_whole(batch: int, size: int) -> None:
    whole = Batches(epoch_order(np.arange(40), batch, seed=1))
    parts = [World(rank, size).share(whole) for rank in range(size)]
    assert len({part.order.shape for part in parts}) == 1 and len(parts[0].order) == len(whole.order)
    for step, images in enumerate(whole.order):
        real = [p.order[step][p.real[step] == 1] for p in parts if p.real is not None]
        assert np.concatenate(real).tolist() == images.tolist()
    assert World().share(whole) is whole


def test_patients_stay_whole() -> None:
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(50), rng.integers(1, 6, 50))
    whole = patient_batches(patient, np.arange(len(patient)), 16, seed=2)
    parts = [World(rank, 3).share(whole) for rank in range(3)]
    assert whole.weight is not None
    for step in range(len(whole.order)):
        met: list[int] = []
        total = 0.0
        for part in parts:
            assert part.group is not None and part.weight is not None and part.real is not None
            met += np.unique(part.group[step][part.group[step] >= 0]).tolist()
            total += part.weight[step].sum()
            assert part.weight[step][part.real[step] == 0].sum() == 0
            assert (part.group[step][part.real[step] == 0] == -1).all()
        assert len(met) == len(set(met))
        assert total == pytest.approx(whole.weight[step].sum())


def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "64", "RANK": "63", "LOCAL_RANK": "63"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"GPU 64 of .* torch sees \d+: start"), joined("cuda"):
        pass


# Plain gradient descent, no dropout, batch norm in evaluation mode: then nothing but rounding may differ.
PLAIN = """
import json, os, sys
sys.path.insert(0, {here!r})
import torch
from pathlib import Path
from training_sets import make_patients
from hnp_pipeline import study
from hnp_pipeline.training.backbone import Network
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.fold_training import FoldTraining

torch.optim.Adam = lambda parameters, lr, fused: torch.optim.SGD(parameters, lr)
def train(self, mode=True):
    torch.nn.Module.train(self, mode)
    for module in self.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return self
Network.train = train
training = study.Training(
    backbone="test_efficientnet", weights=study.Weights(source="random"), epochs=5, batch_size=15,
    learning_rate=0.05, restart_epochs=5, drop_rate=0.0, age="target",
)
examples = make_patients(24)
look = FoldTraining._look
for task in ("multitask", "multiview"):
    directory = Path({directory!r}) / os.environ.get("WORLD_SIZE", "1") / task
    directory.mkdir(parents=True, exist_ok=True)
    losses = []
    def spy(self, found, order):
        if len(found) == len(order):
            losses.extend(found.tolist())
        look(self, found, order)
    FoldTraining._look = spy
    train_fold(*examples, task, 1, training, study.Imaging(size=32), directory, 1, "cpu")
    if int(os.environ.get("RANK", "0")) == 0:
        (directory / "losses.json").write_text(json.dumps(losses))
"""


def test_two_processes_under_torchrun_have_the_losses_of_one(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(PLAIN.format(here=str(Path(__file__).parent), directory=str(tmp_path)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    for command in ([sys.executable], torchrun):
        subprocess.run([*command, str(script)], check=True, env=environment, timeout=300)
    for task in ("multitask", "multiview"):
        one, two = (json.loads((tmp_path / n / task / "losses.json").read_text()) for n in ("1", "2"))
        assert len(one) == len(two) >= 20
        assert one[-1] < one[0]
        np.testing.assert_allclose(two, one, rtol=1e-4)


def _two(training: study.Training, directory: Path, **options) -> FoldResult:
    directory.mkdir(exist_ok=True)
    # 39 images in batches of 7: parts of 4 and 3
    return train_fold(*make_set(52), "level", 1, training, IMAGING, directory, 2, "cpu", devices=2, **options)


def test_a_process_that_dies_ends_the_training_which_goes_on_again(
    tiny: study.Training, tmp_path: Path
) -> None:
    training = tiny.model_copy(update={"batch_size": 7})
    heard: list[EpochResult] = []
    whole = _two(training, tmp_path / "whole", on_epoch=heard.append)
    assert heard == whole.history and len(heard) == 2
    assert whole.predictions.num_rows == 13 * 5

    def kill(_: EpochResult) -> None:
        multiprocessing.active_children()[-1].kill()

    with pytest.raises(StepError, match=r"process \d of 2 of this training died .* run again"):
        _two(training, tmp_path / "parts", on_epoch=kill)
    assert not multiprocessing.active_children()
    assert [p.name for p in (tmp_path / "parts").iterdir()] == ["checkpoint.safetensors"]
    parts = _two(training, tmp_path / "parts")
    assert parts.resumed_epochs >= 1
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert parts.predictions.equals(whole.predictions)


def test_an_error_crosses_processes_whole() -> None:
    here, there = multiprocessing.Pipe()
    here.send(NonFiniteError("batch 3: the loss is nan", ["ab" * 32, "cd" * 32]))
    error = there.recv()
    assert isinstance(error, NonFiniteError) and error.sha256 == ["ab" * 32, "cd" * 32]
    assert str(error).startswith("batch 3: the loss is nan; 2 images")


def test_synchronised_batch_norm_has_the_same_weights(tiny: study.Training) -> None:
    network = build_model(tiny, 5)
    other = synchronised(copy.deepcopy(network))
    assert isinstance(other, Network)
    assert any(isinstance(m, torch.nn.SyncBatchNorm) for m in other.modules())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in other.modules())
    mine, theirs = network.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
    pixels = torch.randint(0, 256, (2, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(other.eval()(pixels), network.eval()(pixels))
