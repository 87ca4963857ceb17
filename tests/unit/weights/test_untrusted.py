"""Weight files of other projects: what is read, and what is refused."""

import argparse
import collections
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vgg_lit.errors import InputError
from vgg_lit.weights.untrusted import IGNORED, Ignored, check_weight_sizes, read_file

STATE = {"features.0.weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(3)}


@pytest.fixture(params=[False, True], ids=["zip", "torch < 1.6"])
def save(request, tmp_path):
    def save(content):
        options = {"_use_new_zipfile_serialization": not request.param}
        torch.save(content, tmp_path / "x.pth", **options)
        return tmp_path / "x.pth"

    return save


def equal(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def test_tensors_and_plain_values_are_read(save):
    content = {"state_dict": STATE, "epoch": 3, "name": "vgg", "best": 0.5, "list": [1, None]}
    found, metadata = read_file(save(content))
    assert equal(found.pop("state_dict"), STATE)
    assert found == {"epoch": 3, "name": "vgg", "best": 0.5, "list": [1, None]}
    assert metadata == {}


def test_arguments_and_numpy_values_are_replaced(save):
    beside = {
        "args": argparse.Namespace(lr=0.1),
        "best": np.float64(0.5),
        "array": np.arange(3),
    }
    found, _ = read_file(save({"net": STATE, **beside}))
    assert equal(found["net"], STATE)
    assert {type(found[name]) for name in beside} == {Ignored}


def test_an_ignored_object_takes_anything_and_keeps_nothing():
    made = Ignored(1, key=2)
    made.__setstate__({"a": 1})
    assert vars(made) == {}
    assert len(IGNORED) == len(set(IGNORED))


class Payload:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("kind", ["payload", "counter of lists", "function"])
def test_other_objects_are_refused_and_not_called(kind, save, tmp_path):
    mark = tmp_path / "mark"
    content = {
        "payload": Payload(mark),
        "counter of lists": collections.deque([1]),
        "function": np.mean,
    }[kind]
    with pytest.raises(InputError, match=r"save the weights alone: torch\.save") as refused:
        read_file(save({"net": STATE, "more": content}))
    assert "\n" not in str(refused.value)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02", b"no weights", b"\x00" * 1000])
def test_a_damaged_file_is_one_line(content, tmp_path):
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: damaged, or not a") as refused:
            read_file(tmp_path / name)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors"])
def test_a_missing_file_is_one_line(name, tmp_path):
    with pytest.raises(InputError, match=name):
        read_file(tmp_path / name)


def test_a_cut_file_is_one_line(save):
    file = save(STATE)
    whole = file.read_bytes()
    for share in (0.1, 0.5, 0.9):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match="damaged"):
            read_file(file)


def test_safetensors_have_metadata(tmp_path):
    save_file(STATE, tmp_path / "x.safetensors", {"classes": "a"})
    found, metadata = read_file(tmp_path / "x.safetensors")
    assert equal(found, STATE)
    assert metadata == {"classes": "a"}
    save_file(STATE, tmp_path / "y.safetensors")
    assert read_file(tmp_path / "y.safetensors")[1] == {}


def test_an_archive_with_a_name_outside_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("../evil", "x")
        archive.writestr("x/data.pkl", pickle.dumps({}))
    with pytest.raises(InputError, match="damaged"):
        read_file(tmp_path / "x.pth")
    assert not (tmp_path.parent / "evil").exists()


def test_weights_larger_than_their_file_are_refused(tmp_path):
    file = tmp_path / "x.pth"
    torch.save({"w": torch.zeros(1).expand(10**6)}, file)
    with pytest.raises(InputError, match="is smaller than its weights"):
        check_weight_sizes({"w": torch.zeros(1).expand(10**6)}, file)
    check_weight_sizes({"w": torch.zeros(2)}, file)


def test_sparse_and_quantised_weights_are_named(tmp_path):
    file = tmp_path / "x.pth"
    file.write_bytes(bytes(10**4))
    sparse = torch.eye(2).to_sparse()
    quantised = torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8)
    for weight in (sparse, quantised):
        with pytest.raises(InputError, match=r"layer\.weight is sparse or quantised"):
            check_weight_sizes({"layer.weight": weight}, file)
