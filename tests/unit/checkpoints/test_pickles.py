"""A pickle that copies its values many times is refused; pickles of every optimiser and schedule are not."""

import io
import pickletools
import struct
import zipfile
from collections import Counter, OrderedDict

import pytest
import torch

from vgg_lit.checkpoints.pickles import check_pickle

TEXT = b"X" + struct.pack("<I", 2**20) + b"a" * 2**20
LATIN = b"X\x06\x00\x00\x00latin1"
STORAGE = (
    b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10tQ"
)
SHAPE = b"(" + b"K\x01" * 100_000 + b"tq\x05h\x05"
PAIRS = b"](" + b"".join(b"M" + struct.pack("<H", i) + b"K\x01\x86" for i in range(50_000)) + b"e"
STATE = b"}(" + b"".join(b"M" + struct.pack("<H", i) + b"K\x01" for i in range(50_000)) + b"u"

CALL = b"h\x02h\x03R"
COPIES = {
    "texts": (b"c_codecs\nencode\nq\x02" + TEXT + LATIN + b"\x86q\x03R", CALL),
    "sets": (b"cbuiltins\nset\nq\x02" + PAIRS + b"\x85q\x03R", CALL),
    "counters": (b"ccollections\nCounter\nq\x02" + STATE + b"\x85q\x03R", CALL),
    "ordered dicts": (b"ccollections\nOrderedDict\nq\x02" + PAIRS + b"\x85q\x03R", CALL),
    "attributes": (b"ccollections\nOrderedDict\nq\x02)R" + STATE + b"q\x03b", b"h\x02)Rh\x03b"),
    "shapes": (
        b"ctorch._utils\n_rebuild_tensor_v2\nq\x02"
        + STORAGE
        + b"K\x00"
        + SHAPE
        + b"\x89ccollections\nOrderedDict\n)Rtq\x03R",
        CALL,
    ),
    "a list that grows after its tuple": (
        b"cbuiltins\nset\nq\x02]q\x04\x85q\x03R0h\x04" + PAIRS[1:] + b"0h\x02h\x03R",
        CALL,
    ),
}


def check(body):
    check_pickle(pickletools.genops(body))


@pytest.mark.parametrize("kind", COPIES)
def test_a_large_value_may_be_copied_once_but_not_many_times(kind):
    first, again = COPIES[kind]
    check(b"\x80\x02](" + first + again + b"e.")
    with pytest.raises(ValueError, match="copies large values many times"):
        check(b"\x80\x02](" + first + again * 1000 + b"e.")


@pytest.mark.parametrize(
    "body", [b"\x80\x02R.", b"\x80\x02u.", b"\x80\x02]e.", b"\x80\x02(K\x01\x86."]
)
def test_an_instruction_without_values_is_damage(body):
    with pytest.raises(ValueError, match="an instruction has no values"):
        check(body)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "ASGD", "LBFGS"])
def test_training_states_of_a_thousand_tensors_are_accepted(name, legacy):
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(1000)]
    optimizer = getattr(torch.optim, name)(parameters, lr=0.1)
    if name != "LBFGS":
        for parameter in parameters:
            parameter.grad = torch.ones(1)
        optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    content = {
        "state_dict": OrderedDict((f"net.{i}", p) for i, p in enumerate(parameters)),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [schedule.state_dict()],
        "others": [b"abc" * 1000, {1, 2, 3}, Counter([1, 2, 2])],
    }
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    if legacy:
        file.seek(0)
        for _ in range(5):
            check_pickle(pickletools.genops(file))
    else:
        check(zipfile.ZipFile(file).read("archive/data.pkl"))
