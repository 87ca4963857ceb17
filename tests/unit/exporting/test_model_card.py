"""A model card describes only the files that an export contains."""

from dataclasses import replace

import pytest

from vgg_lit.data import Preprocessing
from vgg_lit.exporting.model_card import FILE_DESCRIPTIONS, ModelCard
from vgg_lit.exporting.programs import describe_network

CARD = ModelCard(
    network="vgg11",
    data="shoes",
    origin="best.ckpt of logs/runs/shoes",
    description=describe_network(
        {"classes": ["left", "right"], "model": {"_target_": "vgg_lit.models.build"}},
        Preprocessing(1, 28, 32, (0.5,), (0.25,)),
        softmax=False,
    ),
    files=tuple(FILE_DESCRIPTIONS),
    metrics={"test/acc": 0.875},
    metrics_of_weights=True,
    measurements=[{"program": "model.onnx", "largest difference": "1e-7"}],
    remarks=["Measured on one thread."],
    config="seed: 0\n",
    license="mit",
)


def test_inputs_and_outputs_are_described():
    text = CARD.to_markdown()
    assert text.startswith('---\nlicense: "mit"\npipeline_tag: image-classification\n')
    assert "# vgg11, trained on shoes" in text
    assert "Classifies grey images of 28 x 28 pixels into 2 classes: left, right." in text
    assert (
        "a uint8 tensor of shape (batch, 1, 28, 28), and returns `logits`, a float32 tensor of shape "
        "(batch, 2)." in text
    )
    assert "| test/acc | 87.50 % |" in text
    assert "Final metrics of the run, measured with these weights." in text
    other = replace(CARD, metrics_of_weights=False).to_markdown()
    assert "Final metrics of the run, measured with another checkpoint of it." in other
    assert "```yaml\nseed: 0\n```" in text
    assert "Measured on one thread." in text


def test_the_statistics_of_the_images_are_rounded():
    preprocessing = {"subtract_mean": [0.28780650010004005], "divide_by_std": [0.3540353869]}
    text = replace(CARD, description=replace(CARD.description, preprocessing=preprocessing))
    assert "mean [0.2878], standard deviation [0.354], for pixels" in text.to_markdown()


@pytest.mark.parametrize("name", FILE_DESCRIPTIONS)
def test_only_existing_files_are_listed(name):
    assert f"`{name}`" in CARD.to_markdown()
    rest = [other for other in FILE_DESCRIPTIONS if other != name]
    assert f"| `{name}` |" not in replace(CARD, files=rest).to_markdown()


@pytest.mark.parametrize(
    ("files", "shown", "hidden"),
    [
        (["model.onnx"], 'InferenceSession("model.onnx")', "torch.export.load"),
        (["model_int8.onnx"], 'InferenceSession("model_int8.onnx")', "load_file"),
        (["model.pt2"], 'torch.export.load("model.pt2"', "InferenceSession"),
        (["model.safetensors"], 'load_file("model.safetensors")', "InferenceSession"),
    ],
)
def test_examples_use_only_existing_files(files, shown, hidden):
    text = replace(CARD, files=files).to_markdown()
    assert shown in text
    assert hidden not in text


def test_weights_of_a_custom_network_have_no_example():
    network = {"_target_": "my_package.MyNet"}
    card = replace(CARD, description=replace(CARD.description, network=network))
    assert "load_file" not in card.to_markdown()


def test_missing_facts_are_reported_as_unknown():
    text = replace(CARD, license=None, metrics={}).to_markdown()
    assert "license:" not in text
    assert "not stated; ask the author of the model" in text
    assert "The run is not finished and has no final metrics." in text
