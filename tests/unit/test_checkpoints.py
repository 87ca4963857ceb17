"""A checkpoint from a stranger runs nothing; a damaged one is one line."""

import os
import pickle
import zipfile

import pytest
import torch

from vgg_lit.checkpoints import SCHEMA, read_checkpoint
from vgg_lit.classifier import Classifier
from vgg_lit.errors import InputError
from vgg_lit.trainer import AtomicCheckpointIO


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
    assert str(file) in refused(file, "damaged or no checkpoint")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "torch.hub.load", "vgg_lit.targets.trust"]
)
def test_a_checkpoint_cannot_name_what_is_run(name, file, content):
    content["hyper_parameters"]["model"]["_target_"] = name
    torch.save(content, file)
    refused(file, "only names under")


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, -1, "1", None, 1.5])
def test_another_schema_is_refused(schema, file, content):
    content["vgg_lit"]["schema"] = schema
    torch.save(content, file)
    refused(file, f"has schema {schema}, this version of vgg_lit reads up to {SCHEMA}")


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_damaged(fraction, file, tiny_run):
    whole = tiny_run.checkpoint().read_bytes()
    file.write_bytes(whole[: int(fraction * len(whole))])
    refused(file, "damaged or no checkpoint")


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
def test_what_another_program_wrote_is_no_checkpoint_of_ours(other, file):
    torch.save(other, file)
    refused(file, "is no checkpoint of vgg_lit")


def test_a_picture_is_no_checkpoint(file):
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    refused(file, "damaged or no checkpoint")


def test_an_archive_of_something_else_is_no_checkpoint(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hello.txt", "hello")
    refused(file, "damaged or no checkpoint")


def test_a_missing_file_says_so(tmp_path):
    refused(tmp_path / "nothing.ckpt", "there is no such checkpoint")


@pytest.mark.parametrize("change", ["shape", "missing", "extra", "model", "no weights", "no net"])
def test_weights_that_do_not_fit_the_network_are_named(change, file, content):
    weights, name = content["state_dict"], "net.classifier.0.bias"
    if change == "shape":
        weights[name] = torch.zeros(3)
    elif change == "missing":
        del weights[name]
    elif change == "extra":
        weights["net.another"] = torch.zeros(1)
    elif change == "model":
        content["hyper_parameters"]["model"]["variant"] = "vgg11_bn"
    elif change == "no weights":
        del content["state_dict"]
    else:
        del content["hyper_parameters"]
    torch.save(content, file)
    refused(file, "do not fit the network")


def test_an_unknown_hyperparameter_is_one_line(file, content):
    content["hyper_parameters"]["future"] = 1
    torch.save(content, file)
    refused(file, "future")


def test_a_failed_save_leaves_the_last_good_checkpoint(file):
    io = AtomicCheckpointIO()
    io.save_checkpoint({"vgg_lit": {"schema": SCHEMA}, "good": 1}, file)
    with pytest.raises(Exception, match="pickle"):
        io.save_checkpoint({"bad": lambda: 0}, file)
    assert io.load_checkpoint(file)["good"] == 1
    assert sorted(path.name for path in file.parent.iterdir()) == ["file.ckpt", "file.ckpt.sha256"]


def test_lightning_reads_through_us_whatever_it_asks_for(file, tmp_path):
    torch.save(Payload(tmp_path / "mark"), file)
    with pytest.raises(InputError):
        AtomicCheckpointIO().load_checkpoint(file, weights_only=False)
    assert not (tmp_path / "mark").exists()
