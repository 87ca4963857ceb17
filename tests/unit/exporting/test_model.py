"""Exported models are checked on loading; errors name the file."""

import json
from dataclasses import replace

import pytest
import torch

from vgg_lit.data import Preprocessing
from vgg_lit.data.image_ranges import QUANTITIES, ImageRanges
from vgg_lit.errors import InputError
from vgg_lit.exporting.model import METADATA, Description, ExportedModel, find_program
from vgg_lit.exporting.programs import describe_network

DESCRIPTION = describe_network(
    {"classes": ["a", "b"], "model": {"_target_": "vgg_lit.models.build"}},
    Preprocessing(1, 4, 4, (0.5,), (0.25,)),
    softmax=False,
)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []},
        {"classes": [1, 2]},
        {"classes": None},
        {"input": {"shape": ["batch", 3, 28, 27]}},
        {"input": {"shape": ["batch", 3, 10**9, 10**9]}},
        {"input": {"shape": ["batch", "x", 28, 28]}},
        {"input": {"shape": ["batch", 28, 28]}},
        {"output": {"name": "boxes"}},
        {"schema": 2},
        {"training_images": {}},
    ],
)
def test_a_damaged_description_is_refused(change):
    content = json.loads(DESCRIPTION.to_json())
    with pytest.raises(InputError, match="its description"):
        Description.from_json(json.dumps(content | change))


def test_ranges_of_the_training_images_are_optional():
    assert Description.from_json(DESCRIPTION.to_json()).image_ranges is None
    ranges = ImageRanges(9, dict.fromkeys(QUANTITIES, (0.25, 0.5)))
    known = replace(DESCRIPTION, image_ranges=ranges)
    assert json.loads(known.to_json())["training_images"]["ranges"]["mean"] == [0.25, 0.5]
    assert Description.from_json(known.to_json()) == known


@pytest.mark.parametrize("text", ["", "[]", "null", '"text"', "{}"])
def test_an_invalid_description_is_refused(text):
    with pytest.raises(InputError, match="its description is damaged"):
        Description.from_json(text)


def test_the_float32_program_is_preferred(tmp_path):
    for name in ("model.onnx", "model_int8.onnx"):
        (tmp_path / name).touch()
    assert find_program(tmp_path) == tmp_path / "model.onnx"
    (tmp_path / "model.onnx").unlink()
    assert find_program(tmp_path) == tmp_path / "model_int8.onnx"
    assert find_program(tmp_path / "model_int8.onnx") == tmp_path / "model_int8.onnx"


def test_a_path_without_a_program_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no model\.onnx; export it with formats=\[onnx\]"):
        find_program(tmp_path)
    with pytest.raises(InputError, match="there is no such file or folder"):
        find_program(tmp_path / "nothing")
    (tmp_path / "model.pt2").touch()
    with pytest.raises(
        InputError, match=r"may run code when it is loaded; allowed: an \.onnx file"
    ):
        find_program(tmp_path / "model.pt2")


@pytest.fixture
def write(tmp_path):
    """`write(description)`: an ONNX file whose logits are the first two row sums of an image."""
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    onnx = pytest.importorskip("onnx", reason="needs the extra export")
    from onnx import TensorProto, helper

    def write(description):
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
                helper.make_node("ReduceSum", ["x", "axes"], ["sums"], keepdims=0),
                helper.make_node("Slice", ["sums", "first", "last", "columns"], ["logits"]),
            ],
            "sums",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 4, 4])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
            [
                helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
                for name, values in (("axes", [1, 3]), ("first", [0]), ("last", [2]))
            ]
            + [helper.make_tensor("columns", TensorProto.INT64, [1], [1])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        if description is not None:
            helper.set_model_props(model, {METADATA: description})
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return write


def test_logits_are_the_outputs_of_the_program(write):
    model = ExportedModel(write(DESCRIPTION.to_json()))
    assert model.description == DESCRIPTION
    images_BCHW = torch.arange(32, dtype=torch.uint8).reshape(2, 1, 4, 4)
    logits_BK = torch.tensor([[6.0, 22.0], [70.0, 86.0]])
    assert torch.equal(model(images_BCHW), logits_BK)
    torch.testing.assert_close(model.probabilities(images_BCHW), logits_BK.softmax(1))


def test_a_program_without_a_description_is_refused(write):
    with pytest.raises(InputError, match=r"without the description that vgg_lit\.export writes"):
        ExportedModel(write(None))


def test_a_program_that_contradicts_its_description_is_refused(write):
    more = json.loads(DESCRIPTION.to_json()) | {"classes": ["a", "b", "c"]}
    model = ExportedModel(write(json.dumps(more)))
    with pytest.raises(InputError, match=r"contradicts its description \(output shape \(2, 2\)"):
        model(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))


def test_a_damaged_program_is_one_line(write):
    file = write(DESCRIPTION.to_json())
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged, or not an ONNX model") as refused:
        ExportedModel(file)
    assert "\n" not in str(refused.value)
