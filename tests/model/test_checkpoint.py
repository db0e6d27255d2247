import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
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
    saved = random_checkpoint.with_metadata(
        positive_class="FAKE",
        calibration=Calibration(1.5, 1.2, -0.1),
        recipe={"name": "x"},
        metrics={"accuracy": 0.5},
    )
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert len(loaded.metadata.digest) == 64
    assert replace(loaded.metadata, digest="") == saved.metadata
    for name, array in saved.weights.items():
        expected = array.astype(np.float16) if array.ndim > 1 else array
        np.testing.assert_array_equal(loaded.weights[name], expected)
    assert [path.name for path in path.parent.iterdir()] == ["model.pth"]


def test_as_saved_is_what_the_file_gives(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    weights = dict(random_checkpoint.weights)
    weights["layer1.0.conv1.weight"] = weights["layer1.0.conv1.weight"] * 1e6  # beyond float16
    expected = as_saved(weights)
    replace(random_checkpoint, weights=weights).save(tmp_path / "x.pth")
    loaded = Checkpoint.load(tmp_path / "x.pth").network().state_dict()
    assert loaded.keys() >= expected.keys()
    for name, array in expected.items():
        assert array.dtype == weights[name].dtype
        np.testing.assert_array_equal(array, loaded[name].numpy())
        np.testing.assert_allclose(array, weights[name], rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(expected["layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
    assert (expected["layer1.0.conv2.weight"] != weights["layer1.0.conv2.weight"]).any()


def test_file_is_small_enough_to_ship(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.save(tmp_path / "model.pth")
    assert (tmp_path / "model.pth").stat().st_size < 25_000_000


@pytest.mark.parametrize("prefix", ["", "model.", "module.resnet."])
def test_bare_state_dict_with_one_output(prefix: str, tmp_path: Path) -> None:
    architecture = Architecture("imagenet", "linear")
    weights = build_network(architecture).state_dict()
    torch.save({prefix + name: tensor for name, tensor in weights.items()}, tmp_path / "x.pth")
    loaded = Checkpoint.load(tmp_path / "x.pth")
    assert loaded.metadata.architecture == architecture
    assert (loaded.metadata.preprocess.size, loaded.metadata.preprocess.mean) == (224, HALF)
    assert torch.equal(loaded.network().state_dict()["fc.weight"], weights["fc.weight"])


def test_bare_state_dict_with_mlp_head(tmp_path: Path) -> None:
    architecture = Architecture("imagenet", "mlp")
    torch.save(build_network(architecture).state_dict(), tmp_path / "x.pth")
    loaded = Checkpoint.load(tmp_path / "x.pth")
    assert loaded.metadata.architecture == architecture
    assert (loaded.metadata.preprocess.size, loaded.metadata.preprocess.mean) == (224, IMAGENET_MEAN)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no file .*nowhere\.pth"):
        Checkpoint.load(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04garbage"])
def test_not_a_torch_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint that can be read"):
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
        random_checkpoint.with_metadata(positive_class="real")  # type: ignore[arg-type]


def test_weights_of_another_network(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        random_checkpoint.with_metadata(architecture=Architecture("small-pool", "mlp")).network()
