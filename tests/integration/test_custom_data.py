"""A data module and a network of the user, neither made for this package, through the commands."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.runs import Run

HERE = Path(__file__).parent
SHORT = ("trainer.max_epochs=2", "trainer.accelerator=cpu", "trainer.precision=32-true")
TRUSTED = "trusted_targets=[custom_modules]"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with config files of one line, the current one."""
    monkeypatch.syspath_prepend(str(HERE.parent / "unit/data"))
    monkeypatch.chdir(tmp_path)
    for file, text in {
        "conf/data/halves.yaml": "_target_: custom_modules.Halves\nkind: pixels\n",
        "conf/data/only.yaml": "_target_: custom_modules.OnlyTraining\n",
        "conf/model/small.yaml": "_target_: custom_modules.Small\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


@pytest.fixture
def vgg(project, verb):
    """`vgg("train", "data=halves")`: runs a command that has to succeed, or to fail with a code."""

    def vgg(name, *arguments, code=0):
        folder = ("--config-dir", "conf") if name in ("train", "evaluate") else ()
        short = (
            ("model=small", *SHORT) if name == "train" and "resume" not in str(arguments) else ()
        )
        done = verb(name, *folder, *short, *arguments, TRUSTED)
        assert done.code == code, done.out + done.err
        return done

    return vgg


def test_all_commands_work_with_a_data_module_and_a_network_of_the_user(vgg, project):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(project / "picture.png")
    out = vgg("train", "data=halves", "hydra.run.dir=run").out
    assert "data     Halves: 32 train, 12 val, 21 test; 3 classes" in out
    assert "\nwithout  augment (the data module augments); " in out
    run = Run(project / "run")
    assert run.config["data"]["num_classes"] == 3
    assert run.config["data"]["batch_size"] == 8
    tested = run.metrics["test/acc"]
    vgg("evaluate", "run=run")
    row = (project / "run/predictions_test.csv").read_text().splitlines()
    assert len(row) == 22
    right = sum(line.split(",")[1] == line.split(",")[2] for line in row[1:])
    assert right / 21 == pytest.approx(tested)
    vgg("evaluate", "run=run", "split=val")
    vgg("evaluate", "run=run", "data=halves", "data.kind=uint8")
    vgg("predict", "run=run", "images=picture.png")
    assert len((project / "run/predictions.csv").read_text().splitlines()) == 2
    vgg("visualize", "run=run", "figures=[history,confusion,galleries,activations]")
    assert (project / "run/figures/gallery_right.png").is_file()
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    vgg("export", "run=run", "formats=[onnx,onnx_int8]")
    vgg("predict", "model=run/export", "images=picture.png")
    assert "Halves" in (project / "run/export/README.md").read_text()


def test_a_resumed_run_is_bit_identical(vgg, project):
    constant = ("data=halves", "scheduler=none", "callbacks=[default]")
    vgg("train", *constant, "hydra.run.dir=whole")
    vgg("train", *constant, "hydra.run.dir=parts", "trainer.max_epochs=1")
    vgg("train", "resume=parts", "trainer.max_epochs=2")
    states = [
        torch.load(project / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "parts")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_disagreements_end_with_code_2_before_anything_is_written(vgg, project):
    for message, *arguments in (
        ("labels of float32 (8,)", "data=halves", "data.kind=float_labels"),
        ("labels from 1 to 3; allowed for 3 classes", "data=halves", "data.kind=from_one"),
        ("is a dict; return (images, labels)", "data=halves", "data.kind=mapping"),
        ("labels from 0 to 2; allowed for 2 classes", "data=halves", "+data.num_classes=2"),
        ("model: Small returns 3 logits", "data=halves", "+data.num_classes=5"),
        ("OnlyTraining has no val_dataloader", "data=only", "callbacks=[default,early_stopping]"),
        ("leaves one image for each, and batch norm", "data=halves", "+data.batch_size=31"),
        ("find_batch_size=true: not supported", "data=halves", "find_batch_size=true"),
        ("unknown key data.val_fraction", "data=halves", "+data.val_fraction=0.5"),
        ("model.num_classes=3: the data have 10 classes", "model=resnet18", "model.num_classes=3"),
    ):
        err = vgg("train", *arguments, "hydra.run.dir=run", code=2).err
        assert message in err
        assert len(err.strip().splitlines()) == 1
        assert not (project / "run").exists()


def test_a_data_module_with_training_batches_alone_trains(vgg, project):
    vgg("train", "data=only", "hydra.run.dir=run")
    err = vgg("evaluate", "run=run", code=2).err
    assert "split=test: OnlyTraining has no images of it" in err


def test_unknown_normalisation_turns_off_predict_and_export(vgg, project):
    Image.new("RGB", (16, 16)).save(project / "grey.png")
    vgg("train", "data=halves", "data.kind=normalised", "hydra.run.dir=run")
    vgg("evaluate", "run=run")
    assert "set data.mean and data.std" in vgg("predict", "run=run", "images=grey.png", code=2).err
    assert "set data.mean and data.std" in vgg("export", "run=run", code=2).err
    vgg(
        *("train", "data=halves", "data.kind=normalised", "hydra.run.dir=known"),
        *("+data.mean=[0.5,0.5,0.5]", "+data.std=[0.25,0.25,0.25]"),
    )
    assert "mean" not in vgg("evaluate", "run=known").err


@pytest.mark.slow
def test_two_ranks_train_as_one(project, command):
    sizes = {}
    for devices in (1, 2):
        done = command(
            *("train", "--config-dir", "conf", "data=halves", "model=small", *SHORT, TRUSTED),
            *(f"hydra.run.dir=run{devices}", f"trainer.devices={devices}", "model=small"),
            cwd=project,
            PYTHONPATH=str(HERE.parent / "unit/data"),
        )
        assert done.code == 0, done.out + done.err
        sizes[devices] = Run(project / f"run{devices}").metrics
    assert sizes[2]["test/acc"] == pytest.approx(sizes[1]["test/acc"], abs=0.1)
