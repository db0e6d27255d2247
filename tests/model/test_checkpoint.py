import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.architecture import Architecture
from model.calibration import Calibration
from model.checkpoint import Checkpoint, as_saved
from model.images.preprocess import HALF, IMAGENET_MEAN
from model.metadata import CheckpointError
from model.network import build_network


def test_round_trip(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "a" / "model.pth"
    saved = replace(
        random_checkpoint,
        positive_class="FAKE",
        calibration=Calibration(1.5, 1.2, -0.1),
        recipe={"name": "x"},
        metrics={"accuracy": 0.5},
    )
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert len(loaded.digest) == 64
    assert replace(loaded, weights={}, digest="") == replace(saved, weights={})
    for name, tensor in saved.weights.items():
        assert torch.equal(loaded.weights[name].float(), tensor.half().float() if tensor.ndim > 1 else tensor)
    assert [path.name for path in path.parent.iterdir()] == ["model.pth"]


def test_as_saved_is_what_the_file_gives(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    weights = dict(random_checkpoint.weights)
    weights["layer1.0.conv1.weight"] = weights["layer1.0.conv1.weight"] * 1e6  # beyond float16
    expected = as_saved(weights)
    replace(random_checkpoint, weights=weights).save(tmp_path / "x.pth")
    loaded = Checkpoint.load(tmp_path / "x.pth").network().state_dict()
    assert loaded.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensor.dtype == weights[name].dtype
        assert torch.equal(tensor, loaded[name])
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-6)
    assert torch.equal(expected["layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
    assert not torch.equal(expected["layer1.0.conv2.weight"], weights["layer1.0.conv2.weight"])


def test_file_is_small_enough_to_ship(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.save(tmp_path / "model.pth")
    assert (tmp_path / "model.pth").stat().st_size < 25_000_000


@pytest.mark.parametrize("prefix", ["", "model.", "module.resnet."])
def test_bare_state_dict_with_one_output(prefix: str, tmp_path: Path) -> None:
    architecture = Architecture("imagenet", "linear")
    weights = build_network(architecture).state_dict()
    torch.save({prefix + name: tensor for name, tensor in weights.items()}, tmp_path / "x.pth")
    loaded = Checkpoint.load(tmp_path / "x.pth")
    assert loaded.architecture == architecture
    assert (loaded.preprocess.size, loaded.preprocess.mean) == (224, HALF)
    assert torch.equal(loaded.network().state_dict()["fc.weight"], weights["fc.weight"])


def test_bare_state_dict_with_mlp_head(tmp_path: Path) -> None:
    architecture = Architecture("imagenet", "mlp")
    torch.save(build_network(architecture).state_dict(), tmp_path / "x.pth")
    loaded = Checkpoint.load(tmp_path / "x.pth")
    assert loaded.architecture == architecture
    assert (loaded.preprocess.size, loaded.preprocess.mean) == (224, IMAGENET_MEAN)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no file .*nowhere\.pth"):
        Checkpoint.load(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04garbage"])
def test_not_a_torch_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot|not a file that torch can read"):
        Checkpoint.load(tmp_path / "x.pth")


class Exploit:
    ran = False

    def __reduce__(self) -> tuple:
        return setattr, (Exploit, "ran", True)


def test_no_code_of_the_file_runs(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Exploit(), protocol=2))
    with pytest.raises(CheckpointError):
        Checkpoint.load(tmp_path / "x.pth")
    assert not Exploit.ran


def test_other_dictionaries_are_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="neither a checkpoint nor the state dict"):
        Checkpoint.load(tmp_path / "x.pth")


def test_incomplete_checkpoint(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.save(tmp_path / "x.pth")
    content = torch.load(tmp_path / "x.pth", weights_only=True)
    del content["calibration"]
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="incomplete checkpoint.*calibration"):
        Checkpoint.load(tmp_path / "x.pth")


def test_senseless_values_are_refused(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="positive_class"):
        replace(random_checkpoint, positive_class="real")  # type: ignore[arg-type]


def test_weights_of_another_network(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        replace(random_checkpoint, architecture=Architecture("small-pool", "mlp")).network()
