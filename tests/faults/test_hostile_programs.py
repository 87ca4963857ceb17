"""ONNX programs that loop or ask for memory are refused, and so are impossible descriptions."""

import json

import pytest
import torch
from memory import GROWTH, forget_peak, peak

from vgg_lit.data import Preprocessing
from vgg_lit.errors import InputError
from vgg_lit.exporting.model import METADATA, Description, ExportedModel
from vgg_lit.exporting.programs import describe_network

pytest.importorskip("onnxruntime", reason="needs the extra export")
onnx = pytest.importorskip("onnx", reason="needs the extra export")

from onnx import TensorProto, helper  # noqa: E402

DESCRIPTION = describe_network(
    {"classes": ["a", "b"], "model": {"_target_": "vgg_lit.models.build"}},
    Preprocessing(1, 4, 4, (0.5,), (0.25,)),
    softmax=False,
).to_json()

INTEGERS = {"axes": [1, 3], "first": [0], "last": [2], "columns": [1], "huge": [2**31], "rows": [0]}
LOGITS = [
    helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
    helper.make_node("ReduceSum", ["x", "axes"], ["sums"], keepdims=0),
    helper.make_node("Slice", ["sums", "first", "last", "columns"], ["found"]),
]


def constant(name, values, shape):
    return helper.make_tensor(name, TensorProto.INT64, shape, values)


def endless():
    value = helper.make_tensor_value_info
    return helper.make_graph(
        [helper.make_node("Identity", [n], [f"{n}_"]) for n in ("again", "carried")],
        "body",
        [
            value("round", TensorProto.INT64, []),
            value("again", TensorProto.BOOL, []),
            value("carried", TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            value("again_", TensorProto.BOOL, []),
            value("carried_", TensorProto.FLOAT, ["batch", 2]),
        ],
    )


PROGRAMS = {
    "sound": [helper.make_node("Identity", ["found"], ["logits"])],
    "eight gigabytes": [
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros", "rows"], ["sum"], keepdims=0),
        helper.make_node("Add", ["found", "sum"], ["logits"]),
    ],
    "a product of eight gigabytes": [
        helper.make_node("Expand", ["one", "tall"], ["column"]),
        helper.make_node("Expand", ["one", "wide"], ["row"]),
        helper.make_node("MatMul", ["column", "row"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["largest"], keepdims=0),
        helper.make_node("Add", ["found", "largest"], ["logits"]),
    ],
    "an endless loop": [
        helper.make_node("Loop", ["rounds", "true", "found"], ["logits"], body=endless())
    ],
}


@pytest.fixture
def write(tmp_path):
    def write(name, description=DESCRIPTION):
        graph = helper.make_graph(
            [*LOGITS, *PROGRAMS[name]],
            "program",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 4, 4])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
            [
                *(constant(key, values, [len(values)]) for key, values in INTEGERS.items()),
                constant("rounds", [2**62], []),
                constant("tall", [45_000, 2], [2]),
                constant("wide", [2, 45_000], [2]),
                helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
                helper.make_tensor("true", TensorProto.BOOL, [], [True]),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        helper.set_model_props(model, {METADATA: description})
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return write


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "sound"])
def test_a_program_without_bounds_is_refused(name, write):
    forget_peak()
    before = peak()
    with pytest.raises(InputError, match=r"model\.onnx: ") as error:
        ExportedModel(write(name))(torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    assert "\n" not in str(error.value)
    assert peak() - before < GROWTH


def test_a_sound_program_runs_many_batches(write):
    model = ExportedModel(write("sound"))
    for size in (1, 300, 2):
        images = torch.full((size, 1, 4, 4), 3, dtype=torch.uint8)
        assert torch.equal(model(images), torch.full((size, 2), 12.0))
    own = ExportedModel(write("sound"), is_isolated=False)
    assert torch.equal(own(images), model(images))


@pytest.mark.parametrize(
    "change",
    [
        {"input": {"shape": ["batch", 10**9, 4, 4]}},
        {"input": {"shape": ["batch", 1, 10**30, 10**30]}},
        {"input": 3},
        {"classes": {"a": 1}},
        {"classes": "ab"},
        {"preprocessing": 3},
        {"preprocessing": {"subtract_mean": [0.5], "resize_to": 10**9}},
        {"network": []},
        {"training_images": [[[]]]},
    ],
    ids=str,
)
def test_an_impossible_description_is_refused(change, write):
    text = json.dumps(json.loads(DESCRIPTION) | change)
    with pytest.raises(InputError, match="its description is damaged"):
        Description.from_json(text)
    with pytest.raises(InputError, match=r"model\.onnx: its description is damaged"):
        ExportedModel(write("sound", text))


def test_a_deep_description_is_refused():
    with pytest.raises(InputError, match="its description is damaged"):
        Description.from_json('{"classes": ' + "[" * 100_000)
