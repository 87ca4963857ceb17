"""Checkpoints as safetensors files."""

import pytest
import torch

from vgg_lit.checkpoints.portable import read_portable, write_portable
from vgg_lit.checkpoints.weights import read_trained
from vgg_lit.classifier import Classifier
from vgg_lit.errors import InputError


@pytest.fixture
def portable(tiny_run, tmp_path):
    file = tmp_path / "last.safetensors"
    write_portable(read_trained(tiny_run.checkpoint()), file, torch.float16)
    return file


def test_it_loads_as_the_checkpoint_in_half_precision(portable, tiny_run):
    expected = Classifier.load_from_checkpoint(tiny_run.checkpoint()).state_dict()
    found = Classifier.load_from_checkpoint(portable).state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        stored = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(found[name], stored), name
    assert portable.stat().st_size < 0.6 * tiny_run.checkpoint().stat().st_size


def test_a_damaged_or_foreign_file_is_one_line(portable, tmp_path):
    from safetensors.torch import save_file

    content = portable.read_bytes()
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    portable.write_bytes(content[: len(content) // 2])
    for file in (portable, foreign):
        with pytest.raises(InputError, match="is damaged or not a checkpoint of vgg_lit") as error:
            read_portable(file)
        assert "\n" not in str(error.value)
