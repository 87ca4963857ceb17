"""The files of an export: contents, use without vgg_lit, and atomic replacement."""

import csv
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.errors import TrainingError
from vgg_lit.export import export
from vgg_lit.exporting import job as verb_module
from vgg_lit.exporting import parity
from vgg_lit.exporting.model import Description
from vgg_lit.models import build

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime", "safetensors"))),
    reason="needs the extra 'export'",
)
ALL = "formats=[onnx,onnx_int8,torch_export,safetensors]"
WITHOUT_US = "import sys; sys.modules['vgg_lit'] = None; exec(open('script.py').read())"


@pytest.fixture(scope="module")
def exported(tiny_run, compose, tmp_path_factory):
    """The directory of an export in all formats. Read only."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    settings = (f"run={tiny_run.path}", f"output={folder}", ALL, "license=mit", "batch_sizes=[1,3]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "SECONDS", 0)
        export(compose(*settings, "calibration_images=40", verb="export"))
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(parity, "SECONDS", 0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path):
    """Two grey images with sizes that differ from the network's input."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)
    for name, picture in {"a.png": pixels, "b.png": pixels[:28, :28]}.items():
        Image.fromarray(picture).save(tmp_path / name)
    return ["a.png", "b.png"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_holds_the_requested_formats_and_lists_them(exported):
    names = {"model.onnx", "model_int8.onnx", "model.pt2", "model.safetensors"}
    assert {path.name for path in exported.iterdir()} == names | {
        *("model.json", "report.json", "README.md")
    }
    card = (exported / "README.md").read_text()
    assert all(f"`{name}`" in card for name in names)


def test_every_file_contains_the_description(exported):
    import onnxruntime
    from safetensors import safe_open

    text = (exported / "model.json").read_text()
    extra = {"vgg_lit.json": ""}
    torch.export.load(exported / "model.pt2", extra_files=extra)
    found = [extra["vgg_lit.json"]]
    for name in ("model.onnx", "model_int8.onnx"):
        session = onnxruntime.InferenceSession(exported / name)
        found.append(session.get_modelmeta().custom_metadata_map["vgg_lit"])
    with safe_open(exported / "model.safetensors", "pt") as file:
        found.append(file.metadata()["vgg_lit"])
    assert found == [text] * 4


def test_the_weights_are_those_of_the_run(exported, tiny_run):
    from safetensors.torch import load_file

    weights = load_file(exported / "model.safetensors")
    expected = tiny_run.load_classifier().net.state_dict()
    assert set(weights) == set(expected)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    description = Description.from_json((exported / "model.json").read_text())
    arguments = dict(description.network)
    assert arguments.pop("_target_") == "vgg_lit.models.build"
    build(**arguments).load_state_dict(weights)


def test_the_report_compares_every_program_at_both_batch_sizes(exported):
    report = json.loads((exported / "report.json").read_text())
    programs = {"PyTorch", "PyTorch, folded", "model.pt2", "model.onnx", "model_int8.onnx"}
    assert set(report["comparisons"]) == {"1", "3"}
    for found in report["comparisons"].values():
        assert set(found) == programs
        assert all(row["milliseconds"] > 0 for row in found.values())
        for name in programs - {"model_int8.onnx"}:
            assert found[name]["difference"] <= 1e-5 * max(1, found[name]["magnitude"])
        assert found["model_int8.onnx"]["difference"] > 0
    assert set(report["accuracies"]) == programs
    assert report["test_images"] == 40
    assert report["accuracies"]["model.onnx"] == report["accuracies"]["PyTorch"]


def test_the_card_states_metrics_data_config_and_licence(exported, tiny_run):
    card = (exported / "README.md").read_text()
    assert card.startswith('---\nlicense: "mit"\n')
    assert f"| test/acc | {100 * tiny_run.metrics['test/acc']:.2f} % |" in card
    assert "FashionMNISTSample" in card
    assert "variant: vgg13_bn" in card
    assert "Licence of the weights: mit." in card
    assert "| model_int8.onnx |" in card
    assert str(tiny_run.path) not in card


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_predictions_of_the_exported_model_and_the_run_are_equal(
    exported, tiny_run, verb, pictures
):
    output = ["accelerator=cpu", "images=*.png"]
    by_run = verb("predict", f"run={tiny_run.path}", *output, "output=run.csv")
    by_model = verb("predict", f"model={exported}", *output, "output=model.csv")
    by_file = verb("predict", f"model={exported / 'model.onnx'}", *output, "output=file.csv")
    assert (by_run.code, by_model.code, by_file.code) == (0, 0, 0), by_model.err
    for other, done in (("model.csv", by_model), ("file.csv", by_file)):
        table = done.out.replace(other, "run.csv").partition("┏")[2]
        assert table == by_run.out.partition("┏")[2]
        for found, expected in zip(rows_of(other), rows_of("run.csv"), strict=True):
            for column, value in expected.items():
                if column.startswith("probability"):
                    assert float(found[column]) == pytest.approx(float(value), abs=2e-6)
                else:
                    assert found[column] == value


@pytest.mark.parametrize(
    ("example", "name"),
    [(0, "model.onnx"), pytest.param(1, "model.pt2", marks=pytest.mark.slow)],
)
def test_the_examples_of_the_card_run_without_vgg_lit(
    example, name, exported, tiny_run, verb, pictures, tmp_path
):
    done = verb(
        "predict", f"run={tiny_run.path}", "images=*.png", "output=run.csv", "accelerator=cpu"
    )
    assert done.code == 0
    expected = [f"{row['image']} {row['class1']}" for row in rows_of("run.csv")]
    card = (exported / "README.md").read_text()
    scripts = re.findall(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
    assert len(scripts) == 3
    (tmp_path / name).symlink_to(exported / name)
    (tmp_path / "script.py").write_text(scripts[example])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_US, *pictures],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected


def test_the_example_with_the_weights_builds_the_network(exported, tiny_run, monkeypatch):
    card = (exported / "README.md").read_text()
    script = re.findall(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)[2]
    monkeypatch.chdir(exported)
    names = {}
    exec(compile(script, "README.md", "exec"), names)
    found, expected = (net.state_dict() for net in (names["net"], tiny_run.load_classifier().net))
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not names["net"].training


def test_a_single_format_replaces_the_previous_export(verb, tiny_run, tmp_path):
    first = verb("export", f"run={tiny_run.path}", "output=model", "formats=safetensors")
    assert first.code == 0, first.err
    done = verb(
        *("export", f"run={tiny_run.path}", "output=model", "formats=[torch_export]"),
        *("softmax=true", "fold_bn=false", "batch_sizes=[2]"),
    )
    assert done.code == 0, done.err
    assert "0 of 10 layers folded" in done.out
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.pt2", "model.json", "report.json", "README.md"}
    program = torch.export.load("model/model.pt2").module()
    for count in (1, 7):
        images = torch.zeros(count, 1, 28, 28, dtype=torch.uint8)
        sums = program(images).sum(dim=1)
        torch.testing.assert_close(sums, torch.ones(count))


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize(
    ("happens", "raised"),
    [(Interrupted(), Interrupted), (OSError(28, "No space left on device"), TrainingError)],
)
def test_an_interrupted_export_keeps_the_previous_one(
    happens, raised, tiny_run, compose, tmp_path, monkeypatch
):
    settings = (f"run={tiny_run.path}", "output=model", "batch_sizes=[1]", "formats=[safetensors]")
    export(compose(*settings, verb="export"))
    before = contents(tmp_path / "model")

    def interrupt(*arguments):
        raise happens

    monkeypatch.setattr(verb_module, "_card", interrupt)
    with pytest.raises(raised):
        export(compose(*settings, "fold_bn=false", verb="export"))
    assert contents(tmp_path / "model") == before


def test_a_program_with_different_outputs_is_not_written(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    done = verb("export", f"run={tiny_run.path}", "output=model", "formats=[torch_export]")
    assert done.code == 1
    assert "model.pt2: differs from PyTorch" in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["run: is needed"]),
        (("run=nowhere",), ["run=nowhere", "no such directory"]),
        (("run={run}", "checkpoint=first"), ["checkpoint=first", "best, last"]),
        (("run={run}", "formats=[tflite]"), ["formats=", "'torch_export'"]),
        (("run={run}", "formats=[]"), ["formats=[]"]),
        (("run={run}", "format=onnx"), ["did you mean formats"]),
        (("run={run}", "batch_sizes=[0]"), ["batch_sizes=[0]"]),
        (("run={run}", "calibration_images=0"), ["calibration_images=0"]),
        (("run={run}", "output=notes.txt"), ["output=notes.txt", "not a writable folder"]),
        (("run={run}", "output=project"), ["output=project", "README.md", "of another project"]),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(
    arguments, words, verb, tiny_run, tmp_path
):
    (tmp_path / "notes.txt").write_text("no folder")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/README.md").write_text("somebody's work")
    before = set(tmp_path.rglob("*"))
    done = verb("export", *(a.format(run=tiny_run.path) for a in arguments))
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert set(tmp_path.rglob("*")) == before


def test_a_missing_package_is_named_with_its_extra(verb, tiny_run, monkeypatch):
    monkeypatch.setattr("vgg_lit.system.extras.find_spec", lambda name: None)
    done = verb("export", f"run={tiny_run.path}")
    assert done.code == 2
    assert "formats=[onnx]: needs onnx, onnxscript, onnxruntime" in done.err
    assert 'pip install "vgg_lit[export]"' in done.err


def test_files_that_are_not_exported_models_are_refused(verb, exported, pictures, tmp_path):
    whole = (exported / "model.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.onnx").write_bytes(b"")
    relabel(exported / "model.onnx", tmp_path / "others.onnx", lambda text: None)
    relabel(
        exported / "model.onnx",
        tmp_path / "more.onnx",
        lambda text: text.replace('"Bag"', '"Bag", "Hat"'),
    )
    relabel(
        exported / "model.onnx", tmp_path / "larger.onnx", lambda text: text.replace("28", "30")
    )
    for name, word in {
        "half": "damaged",
        "empty": "damaged",
        "others": "without the description that",
        "more": "output shape (1, 10) instead of (1, 11)",
        "larger": "contradicts its description",
    }.items():
        done = verb("predict", f"model={name}.onnx", "images=a.png")
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert f"model={name}.onnx" in done.err
        assert word in done.err


def relabel(source, path, change):
    """Copies a program with a changed description, or without one."""
    import onnx

    model = onnx.load(source)
    texts = {item.key: change(item.value) for item in model.metadata_props}
    onnx.helper.set_model_props(model, {key: text for key, text in texts.items() if text})
    onnx.save(model, path)
