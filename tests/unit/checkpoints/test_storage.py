"""An untrusted checkpoint cannot run code; a damaged one is reported in one line."""

import codecs
import os
import pickle
import zipfile

import pytest
import torch

from vgg_lit.checkpoints.storage import SCHEMA, read_checkpoint
from vgg_lit.checkpoints.trainer_io import AtomicCheckpointIO
from vgg_lit.classifier import Classifier
from vgg_lit.errors import InputError

TEXT = "a" * 2**20


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def content(tiny_run):
    return torch.load(tiny_run.checkpoint(), weights_only=True)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file.ckpt"


def refused(path, match):
    with pytest.raises(InputError, match=match) as error:
        Classifier.load_from_checkpoint(path)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


def test_a_checkpoint_of_a_run_is_read(tiny_run, content):
    assert content["vgg_lit"]["schema"] == SCHEMA
    assert read_checkpoint(tiny_run.checkpoint())["epoch"] == content["epoch"]


@pytest.mark.parametrize("place", ["whole", "hyper_parameters", "state_dict", "legacy"])
def test_a_hostile_pickle_does_not_run(place, file, content, tmp_path):
    mark = tmp_path / "mark"
    payload = Payload(mark)
    if place == "whole":
        torch.save(payload, file)
    elif place == "legacy":
        file.write_bytes(pickle.dumps(payload))
    else:
        content[place]["payload"] = payload
        torch.save(content, file)
    assert str(file) in refused(file, "damaged or not a checkpoint")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "torch.hub.load", "vgg_lit.targets.trust"]
)
def test_a_checkpoint_cannot_name_code_to_run(name, file, content):
    content["hyper_parameters"]["model"]["_target_"] = name
    torch.save(content, file)
    refused(file, "only names under")


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, -1, "1", None, 1.5])
def test_another_schema_is_refused(schema, file, content):
    content["vgg_lit"]["schema"] = schema
    torch.save(content, file)
    refused(file, f"has schema {schema}, this version of vgg_lit reads up to {SCHEMA}")


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_reported_as_damaged(fraction, file, tiny_run):
    whole = tiny_run.checkpoint().read_bytes()
    file.write_bytes(whole[: int(fraction * len(whole))])
    refused(file, "damaged or not a checkpoint")


@pytest.mark.parametrize(
    "other",
    [
        {"state_dict": {}},
        {"vgg_lit": 1},
        {"vgg_lit": {}},
        [1, 2],
        torch.zeros(2),
    ],
    ids=str,
)
def test_a_file_of_another_program_is_refused(other, file):
    torch.save(other, file)
    refused(file, "is not a checkpoint of vgg_lit")


def test_a_picture_is_refused(file):
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    refused(file, "damaged or not a checkpoint")


def test_an_archive_of_other_files_is_refused(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hello.txt", "hello")
    refused(file, "damaged or not a checkpoint")


def test_a_missing_file_is_reported(tmp_path):
    refused(tmp_path / "nothing.ckpt", "there is no such checkpoint")


@pytest.mark.parametrize("change", ["shape", "missing", "extra", "model"])
def test_weights_that_do_not_fit_the_network_are_named(change, file, content):
    weights, name = content["state_dict"], "net.classifier.0.bias"
    if change == "shape":
        weights[name] = torch.zeros(3)
    elif change == "missing":
        del weights[name]
    elif change == "extra":
        weights["net.another"] = torch.zeros(1)
    else:
        content["hyper_parameters"]["model"]["variant"] = "vgg16_bn"
    torch.save(content, file)
    refused(file, "do not fit the network")


@pytest.mark.parametrize("part", ["state_dict", "hyper_parameters"])
@pytest.mark.parametrize("value", [None, 3, [], {1: 2}], ids=str)
def test_a_checkpoint_without_a_required_part_is_refused(part, value, file, content):
    content[part] = value
    torch.save(content, file)
    refused(file, f"holds no {part}")
    del content[part]
    torch.save(content, file)
    refused(file, f"holds no {part}")


def test_a_network_larger_than_the_file_is_refused_without_allocation(file, content):
    content["hyper_parameters"]["model"]["width"] = 1000.0  # terabytes
    torch.save(content, file)
    refused(file, "do not fit the network")
    for name, weight in content["state_dict"].items():  # as if the file held them
        if weight.ndim == 4:
            content["state_dict"][name] = torch.zeros(1).expand(64_000, 64_000, 3, 3)
    torch.save(content, file)
    refused(file, "its tensors are expanded to many times the size of the file")


@pytest.mark.parametrize("change", ["compressed", "repeated"])
def test_an_archive_that_unpacks_to_more_than_its_size_is_refused(change, file, tiny_run):
    with zipfile.ZipFile(tiny_run.checkpoint()) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    folder = next(iter(parts)).split("/")[0]
    parts[f"{folder}/data/0"] = bytes(10**8)
    compression = zipfile.ZIP_DEFLATED if change == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
        if change == "repeated":
            directory = {part.filename: part for part in archive.filelist}
            for number in range(1, 10):
                directory[f"{folder}/data/{number}"].header_offset = directory[
                    f"{folder}/data/0"
                ].header_offset
                directory[f"{folder}/data/{number}"].file_size = 10**8
    refused(file, "damaged or not a checkpoint")


def test_an_allocation_in_the_pickle_is_refused(file):
    class Empty:
        def __reduce__(self):
            return bytearray, (2**40,)

    torch.save({"vgg_lit": {"schema": SCHEMA}, "state_dict": Empty()}, file)
    refused(file, "bytearray")


def test_a_text_that_the_pickle_copies_a_thousand_times_is_refused(file):
    class Copy:
        def __reduce__(self):
            return codecs.encode, (TEXT, "latin1")

    torch.save({"vgg_lit": {"schema": SCHEMA}, "copies": [Copy() for _ in range(1000)]}, file)
    assert file.stat().st_size < 2**21
    refused(file, "it copies large values many times")


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.SGD",
        "vgg_lit.data.FashionMNIST",
        "lightning.pytorch.loggers.CSVLogger",
        "vgg_lit.callbacks.MetricsTable",
    ],
)
def test_a_checkpoint_may_name_only_a_network(target, file, content):
    content["hyper_parameters"]["model"] = {"_target_": target, "save_dir": "/nowhere"}
    torch.save(content, file)
    refused(file, r"only names under vgg_lit\.models")


def test_a_torchvision_network_does_not_download_weights(file, monkeypatch):
    monkeypatch.setattr(
        torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("asked a server")
    )
    spec = {"_target_": "torchvision.models.squeezenet1_1", "num_classes": 10}
    classifier = Classifier(spec, classes=[str(k) for k in range(10)])
    content = {
        "vgg_lit": {"schema": SCHEMA},
        "state_dict": classifier.state_dict(),
        "hyper_parameters": {**classifier.hparams, "model": {**spec, "weights": "DEFAULT"}},
        "pytorch-lightning_version": "2.6.6",
    }
    torch.save(content, file)
    loaded = Classifier.load_from_checkpoint(file)
    assert "weights" not in loaded.hparams["model"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source_size", 10**9),
        ("image_size", 0),
        ("image_size", "32"),
        ("mean", [float("nan")]),
        ("std", [0.0]),
        ("std", None),
        ("in_channels", 2),
        ("another", 1),
    ],
)
def test_invalid_preprocessing_is_named(name, value, file, content):
    content["hyper_parameters"]["preprocessing"][name] = value
    torch.save(content, file)
    refused(file, "preprocessing=.*: invalid; allowed")


@pytest.mark.parametrize("change", ["classes", "channels", "side"])
def test_a_network_that_does_not_fit_its_images_or_classes_is_named(change, file, content):
    hyperparameters = content["hyper_parameters"]
    if change == "classes":
        hyperparameters["classes"].pop()
    elif change == "channels":
        hyperparameters["preprocessing"] |= {"in_channels": 2, "mean": [0, 0], "std": [1, 1]}
    else:
        hyperparameters["preprocessing"]["image_size"] = 224
    torch.save(content, file)
    refused(file, "does not map images of .* classes")
    hyperparameters["classes"] = 10
    torch.save(content, file)
    refused(file, "classes are not a list of names")


def test_an_unknown_hyperparameter_is_reported_in_one_line(file, content):
    content["hyper_parameters"]["future"] = 1
    torch.save(content, file)
    refused(file, "future")


def test_a_failed_save_leaves_the_last_good_checkpoint(file):
    io = AtomicCheckpointIO()
    io.save_checkpoint({"vgg_lit": {"schema": SCHEMA}, "good": 1}, file)
    with pytest.raises(Exception, match=r"pickle|local object"):
        io.save_checkpoint({"bad": lambda: 0}, file)
    assert io.load_checkpoint(file)["good"] == 1
    assert sorted(path.name for path in file.parent.iterdir()) == ["file.ckpt", "file.ckpt.sha256"]


def test_lightning_cannot_turn_off_weights_only(file, tmp_path):
    torch.save(Payload(tmp_path / "mark"), file)
    with pytest.raises(InputError):
        AtomicCheckpointIO().load_checkpoint(file, weights_only=False)
    assert not (tmp_path / "mark").exists()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_refused_function_is_named_without_advice(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"x": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])}, path)
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    assert str(caught.value) in (
        f"{path}: is damaged or not a checkpoint of vgg_lit (contains torch._utils._rebuild_nested_tensor, "
        "which is not loaded because it can execute code)",
        f"{path}: is not a checkpoint of vgg_lit",  # torch 2.10 loads nested tensors
    )
