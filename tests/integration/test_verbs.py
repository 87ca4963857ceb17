"""The commands as a user starts them: in a new process, from an empty folder."""

import csv
import json
import re

import pytest
import torch
from PIL import Image

from vgg_lit.data import FashionMNISTSample
from vgg_lit.runs import Run

# Records the sample ids that each rank trains on.
RECORDER = """
from pathlib import Path
import lightning.pytorch as L

class Recorder(L.Callback):
    def __init__(self, folder):
        self.folder = Path(folder)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        with open(self.folder / f"rank{trainer.global_rank}.txt", "a") as file:
            print(*batch[2].tolist(), file=file)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty working directory."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def trained(command, tiny, home):
    """The output of the first training run, and the run."""
    done = command("train", *tiny, "trainer.max_epochs=2", cwd=home)
    assert done.code == 0, done.err
    (path,) = (home / "logs" / "runs" / "vgg13_bn_slim").iterdir()
    return done, Run(path)


def weights(run, name="best"):
    return torch.load(run.checkpoint(name), weights_only=True)["state_dict"]


def assert_same_weights(run, other):
    expected = weights(other)
    found = weights(run)
    assert list(found) == list(expected)
    for name in expected:
        assert torch.equal(found[name], expected[name]), name


def test_a_run_directory_is_complete(trained, home):
    done, run = trained
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}", run.path.name)
    assert {path.name for path in home.iterdir()} == {"logs"}
    assert {path.name for path in run.path.iterdir()} >= {
        "config.yaml",
        "overrides.txt",
        "environment.json",
        "status.json",
        "checkpoints",
        "metrics.csv",
        "metrics.json",
        "tensorboard",
    }
    checkpoints = ("best.ckpt", "last.ckpt", "previous.ckpt")
    files = {*checkpoints, *(f"{name}.sha256" for name in checkpoints)}
    assert {path.name for path in run.checkpoints.iterdir()} == files
    assert run.status["status"] == "done"
    assert list((run.path / "tensorboard").glob("events.out.tfevents*"))
    assert "trainer.max_epochs=2\n" in (run.path / "overrides.txt").read_text()
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert run.config["trainer"]["max_epochs"] == 2
    assert "???" not in run.config_file.read_text()
    assert "${" not in run.config_file.read_text()
    assert run.path.name in done.out
    assert "Traceback" not in done.err


def test_metrics_have_one_row_an_epoch_and_the_promised_names(trained):
    _, run = trained
    with run.metrics_file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [row["step"] for row in rows] == ["4", "8"]
    names = {"train/loss", "train/acc", "val/loss", "val/acc", "val/top5", "lr"}
    assert names | {"throughput/images_per_second"} <= set(rows[0])
    tests = {"test/loss", "test/acc", *(f"test/top{k}" for k in range(1, 6))}
    assert names | tests <= set(run.metrics)
    assert 0 <= run.metrics["test/acc"] == run.metrics["test/top1"] <= run.metrics["test/top5"] <= 1


def test_the_same_config_trains_the_same_weights_in_another_process(trained, train, tmp_path):
    torch.rand(7)  # a run does not depend on the global random state
    again = train(tmp_path / "again", "trainer.max_epochs=2")
    assert_same_weights(again, trained[1])
    same = [name for name in again.metrics if name.startswith(("test/", "val/", "train/"))]
    assert len(same) >= 11
    assert {n: again.metrics[n] for n in same} == {n: trained[1].metrics[n] for n in same}


def test_evaluate_gives_the_metrics_of_the_run(trained, command, tmp_path):
    run = trained[1]
    done = command("evaluate", f"run={run.path}", "accelerator=cpu", cwd=tmp_path)
    assert done.code == 0, done.err
    (file,) = (run.path / "evaluations").iterdir()
    found = json.loads(file.read_text())["metrics"]
    expected = {k: v for k, v in run.metrics.items() if k.startswith("test/")}
    assert len(expected) == 7
    assert found == expected
    assert not list(tmp_path.iterdir())  # no files are left in the working directory


@pytest.fixture
def pictures(tmp_path):
    """Grey, colour, transparent and palette PNGs of several sizes, and one damaged PNG."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    image = FashionMNISTSample().load("test").images_NCHW[0, 0].numpy()
    grey = Image.fromarray(image)
    grey.save(folder / "grey.png")
    grey.resize((90, 60)).convert("RGB").save(folder / "colour.png")
    grey.resize((17, 33)).convert("RGBA").save(folder / "alpha.png")
    (folder / "deep").mkdir()
    grey.convert("P").save(folder / "deep" / "palette.png")
    whole = (folder / "grey.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no image")
    return folder


def test_predict_classifies_readable_images_and_names_the_others(
    trained, command, pictures, tmp_path
):
    output = tmp_path / "out.csv"
    done = command(
        "predict",
        f"run={trained[1].path}",
        f"images={pictures}",
        f"output={output}",
        "top_k=3",
        "accelerator=cpu",
        cwd=tmp_path,
    )
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "broken.png" in done.err
    assert "4 of 5 images" in done.err
    with output.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["image"].removeprefix(str(pictures)) for row in rows] == [
        "/alpha.png",
        "/colour.png",
        "/deep/palette.png",
        "/grey.png",
    ]
    classifier = trained[1].load_classifier()
    for row in rows:
        probabilities = [float(row[f"probability{k}"]) for k in (1, 2, 3)]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1 + 1e-5
        assert {row[f"class{k}"] for k in (1, 2, 3)} <= set(classifier.classes)
    by_name = {row["image"].rpartition("/")[2]: row for row in rows}
    # the palette image has the same pixels as the grey one
    for column in ("class1", "probability1", "class2"):
        assert by_name["palette.png"][column] == by_name["grey.png"][column]


@pytest.mark.slow  # two processes; test_sweep.py has a fast sweep test
def test_a_sweep_gives_each_job_a_directory(command, tiny, tmp_path):
    done = command("train", "-m", "model=vgg11_bn,vgg13_bn", *tiny, cwd=tmp_path)
    assert done.code == 0, done.err
    (sweep,) = tmp_path.glob("logs/sweeps/*/*")
    runs = [Run(file.parent) for file in sorted(sweep.rglob("config.yaml"))]
    assert [run.config["model"]["variant"] for run in runs] == ["vgg11_bn", "vgg13_bn"]
    assert [run.status["status"] for run in runs] == ["done", "done"]
    assert not (tmp_path / "logs" / "runs").exists()


def test_two_processes_train_on_the_same_samples_as_one(command, tiny, train, tmp_path):
    (tmp_path / "recorder.py").write_text(RECORDER)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    # No batch norm: its statistics differ between ranks, and so would the weights.
    common = (
        *tiny,
        "model=vgg11",
        "model.init=xavier",
        "data.test_size=41",  # odd: one process evaluates a padded position
        "trusted_targets=[recorder]",
        "+callbacks.recorder._target_=recorder.Recorder",
    )
    done = command(
        "train",
        *common,
        f"+callbacks.recorder.folder={two}",
        "trainer=ddp",
        "trainer.accelerator=cpu",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert done.code == 0, done.err
    (path,) = tmp_path.glob("logs/runs/vgg11/*")  # one run, not one per process
    run = Run(path)
    assert run.status["status"] == "done"
    assert done.out.count("epoch 1/1") == 1
    done = command(
        "train",
        *common,
        f"+callbacks.recorder.folder={one}",
        "name=alone",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert done.code == 0, done.err
    (path,) = tmp_path.glob("logs/runs/alone/*")
    alone = Run(path)
    together = [
        f"{first} {second}"
        for first, second in zip(
            (two / "rank0.txt").read_text().splitlines(),
            (two / "rank1.txt").read_text().splitlines(),
            strict=True,
        )
    ]
    assert together == (one / "rank0.txt").read_text().splitlines()
    assert len(together) == 4
    expected = weights(alone)
    for name, tensor in weights(run).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-5)
    assert run.metrics["test/acc"] == pytest.approx(alone.metrics["test/acc"])
    for name in ("train/loss", "val/loss", "test/loss"):
        assert run.metrics[name] == pytest.approx(alone.metrics[name], rel=1e-4), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trainer.max_epochs=0",), "trainer.max_epochs=0"),
        (("model=vgg12",), "model=vgg12"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(command, arguments, message, tmp_path):
    done = command("train", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert message in done.err
    assert not list(tmp_path.rglob("*.*"))  # no run directory, no log file


def test_a_failure_is_exit_code_1_with_a_traceback(command, tiny, tmp_path):
    (tmp_path / "failing.py").write_text(
        "import lightning.pytorch as L\n"
        "class Failing(L.Callback):\n"
        "    def on_train_start(self, trainer, pl_module):\n"
        "        raise RuntimeError('out of luck')\n"
    )
    done = command(
        "train",
        *tiny,
        "trusted_targets=[failing]",
        "+callbacks.failing._target_=failing.Failing",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert done.code == 1
    assert "Traceback" in done.err
    (path,) = tmp_path.glob("logs/runs/*/*")
    assert Run(path).status["status"] == "failed"
    assert "out of luck" in Run(path).status["reason"]


def test_a_run_is_resumed_in_its_own_directory(trained, command, home):
    run = trained[1]
    before = sorted(home.glob("logs/runs/*/*"))
    done = command("train", f"resume={run.path}", "trainer.max_epochs=3", cwd=home)
    assert done.code == 0, done.err
    assert sorted(home.glob("logs/runs/*/*")) == before
    with run.metrics_file.open() as lines:
        assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2", "3"]
    assert run.status["status"] == "done"
