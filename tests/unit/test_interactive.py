"""Training, evaluation and prediction from Python."""

import math
import shutil

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import vgg_lit
import vgg_lit.train
from vgg_lit.errors import InputError
from vgg_lit.sweeps import Sweep
from vgg_lit.system.overrides import as_overrides


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A copy of the run, which commands may write to."""
    path = tmp_path_factory.mktemp("interactive") / "run"
    return vgg_lit.Run(shutil.copytree(tiny_run.path, path))


def test_train_returns_the_run(tiny, tmp_path):
    run = vgg_lit.train(*tiny, seed=3, name="mine")
    assert isinstance(run, vgg_lit.Run)
    assert run.path.parent.resolve() == tmp_path / "logs" / "runs" / "mine"
    assert run.config["seed"] == 3
    assert run.status["status"] == "done"
    assert (run.path / "overrides.txt").read_text().splitlines() == [*tiny, "seed=3", "name=mine"]
    again = vgg_lit.train(resume=run, **{"trainer.max_epochs": 2})
    assert again.path == run.path
    assert len(again.history()) == 2


def test_the_module_of_the_command_stays_a_module():
    assert vgg_lit.train.main.__module__ == "vgg_lit.train"
    assert callable(vgg_lit.train)


def test_compose_returns_the_config():
    config = vgg_lit.compose("model=vgg16_bn", seed=7, **{"optimizer.lr": 0.05})
    assert (config.model.variant, config.seed, config.optimizer.lr) == ("vgg16_bn", 7, 0.05)
    assert config.data.seed == 7
    assert "hydra" not in config
    assert vgg_lit.compose("runs=x", command="compare").runs == "x"


@pytest.mark.parametrize(
    ("overrides", "settings", "words"),
    [
        (["model=vgg99"], {}, ["model=vgg99", "allowed"]),
        (["optimizer.lrr=1"], {}, ["optimizer.lrr", "optimizer.lr"]),
        (["-m"], {}, ["-m", "flag"]),
        ([3], {}, ["3", "texts"]),
        ([], {"seed": -1}, ["seed=-1"]),
        ([], {"optimizer.lr": "fast"}, ["optimizer.lr=fast"]),
        ([], {"trainer.devices": 2}, ["trainer.devices=2", "one process"]),
        ([], {"trainer.num_nodes": 2}, ["trainer.num_nodes=2", "one process"]),
        ([], {"trainer.devices": [0, 1]}, ["trainer.devices=[0, 1]", "one process"]),
        ([], {"resume": "nowhere"}, ["resume=nowhere"]),
        (["trainer.devices=${nope}"], {}, ["nope"]),
        (["hydra.run.dir=${nope}"], {}, ["nope"]),
        (["~trainer"], {}, ["trainer"]),
        (["hydra.run.dir=/dev/null/y"], {}, ["hydra.run.dir=/dev/null/y: cannot be made"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_files(overrides, settings, words, tmp_path):
    with pytest.raises(InputError) as error:
        vgg_lit.train(*overrides, **settings)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert not list(tmp_path.glob("logs/runs/*/*"))


def test_one_gpu_of_several_is_one_process():
    with pytest.raises(InputError, match="a list needs GPUs"):  # by the check of the devices
        vgg_lit.train("trainer.accelerator=cpu", **{"trainer.devices": [1]})


@pytest.mark.parametrize(("devices", "overrides"), [(2, {}), ("auto", {"trainer.max_epochs": 0})])
def test_a_run_of_several_processes_is_not_resumed(devices, overrides, run, tmp_path):
    path = shutil.copytree(run.path, tmp_path / "run")
    config = OmegaConf.load(path / "config.yaml")
    config.trainer.devices = devices
    OmegaConf.save(config, path / "config.yaml")
    words = "trainer.devices=2: in Python" if devices == 2 else "trainer.max_epochs=0"
    with pytest.raises(InputError, match=words):
        vgg_lit.train(resume=path, **overrides)


def test_a_training_leaves_the_random_numbers_of_the_program(tiny):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    vgg_lit.train(*tiny)
    assert torch.equal(torch.rand(3), expected)


def test_a_sweep_has_runs_with_the_commands(run, tmp_path):
    sweep = Sweep(tmp_path / "logs/sweeps/a/b")
    for number in (0, 1):
        shutil.copytree(run.path, sweep.directory(sweep.add([f"seed={number}"], str(number))))
    sweep.add(["seed=2"], "2")
    sweep.write()
    for place in (sweep.path, "latest"):
        found = vgg_lit.Sweep(place)
        assert found.path.resolve() == sweep.path
        runs = [found.run(job) for job in found.jobs]
        assert [type(one) for one in runs] == [vgg_lit.Run, vgg_lit.Run, type(None)]
    for given in ([found], [runs[:2]], [runs[0], [tmp_path / "logs/sweeps/a/b/1"]]):
        assert len(vgg_lit.compare(*given).tables["comparison.csv"].records) == 2
    with pytest.raises(InputError, match="None: is not a run"):
        vgg_lit.compare(runs)
    with pytest.raises(InputError, match="typo: is not a sweep"):
        vgg_lit.Sweep("typo")


def test_values_keep_their_types():
    written = as_overrides(
        {
            "a": None,
            "b": True,
            "c": 1e-05,
            "d": "it's, 1=2",
            "e": ["x", 2],
            "f": {"k": "null"},
            "g": "vgg16_bn",
        }
    )
    assert written[:3] == ["a=null", "b=true", "c=1e-05"]
    assert written[4:] == ["e=[x,2]", 'f={k:"null"}', "g=vgg16_bn"]
    config = vgg_lit.compose(name="it's, 1=2", tags=["a b", "null"])
    assert (config.name, list(config.tags)) == ("it's, 1=2", ["a b", "null"])


def test_a_run_evaluates(run, capsys):
    metrics = run.evaluate(accelerator="cpu")
    assert metrics["test/acc"] == pytest.approx(run.metrics["test/acc"], abs=1e-6)
    assert "test" in capsys.readouterr().out


def test_a_run_predicts_files_and_arrays(run, tmp_path):
    pixels = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    Image.fromarray(pixels).save(tmp_path / "a, b.png")
    of_file = run.predict(tmp_path / "a, b.png", top_k=2)
    of_array = run.predict(np.stack([pixels, 255 - pixels]), top_k=2)
    of_picture = run.predict([Image.fromarray(pixels)], top_k=2)
    assert len(of_file[0].likeliest) == 2
    assert of_file[0].likeliest == of_picture[0].likeliest
    (name, probability), _ = of_file[0].likeliest
    assert of_array[0].likeliest[0] == (name, pytest.approx(probability, abs=1e-4))
    assert [one.path for one in of_array] == ["image 0", "image 1"]
    with pytest.raises(InputError, match="image 0: is not a picture"):
        run.predict([3.5])
    with pytest.raises(InputError, match="nowhere"):
        run.predict("nowhere.png")


def test_the_history_has_a_row_an_epoch(run, monkeypatch):
    monkeypatch.setattr("vgg_lit.interactive_run.find_spec", lambda name: None)
    rows = run.history()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert not math.isnan(rows[0]["train/loss"])


def test_a_run_is_shown_by_its_path(run):
    assert repr(run) == f"Run({str(run.path)!r})"


def test_a_run_draws_figures_and_writes_no_file(run):
    before = sorted(run.path.rglob("*"))
    (picture,) = run.draw("confusion", accelerator="cpu")
    assert (picture.name, picture.title) == ("confusion", "Confusion matrix")
    assert picture.figure.axes
    assert sorted(run.path.rglob("*")) == before
    with pytest.raises(InputError, match="figures"):
        run.draw("confuson")


def test_a_run_is_exported(run, tmp_path, capsys):
    folder = run.export(formats=["safetensors"], output=tmp_path / "out", batch_sizes=[1])
    assert folder == tmp_path / "out"
    assert (folder / "model.safetensors").is_file()
    assert "Each program compared with PyTorch" in capsys.readouterr().out


def test_compare_returns_the_tables(tiny_run, tmp_path, capsys):
    for name in ("a", "b"):
        shutil.copytree(tiny_run.path, tmp_path / "runs" / name)
    report = vgg_lit.compare("runs/a", vgg_lit.Run("runs/b"), sort="test/acc")
    rows = report.tables["comparison.csv"].records
    assert [row["run"] for row in rows] == ["a", "b"]
    assert rows[0]["test/acc"] == tiny_run.metrics["test/acc"]
    assert report.figure.axes
    assert report._repr_html_().count("<table>") == 1
    assert r"\toprule" in report.latex
    report.print()
    assert "2 runs by test/acc" in capsys.readouterr().out
    assert not (tmp_path / "comparison").exists()
    assert "comparison.tex" in report.write("comparison")
    assert (tmp_path / "comparison/comparison.tex").read_text() == report.latex
    with pytest.raises(InputError, match="at least 2"):
        vgg_lit.compare("runs/a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": "x"}, r"^output: is not a setting of this function; use \.write\(folder\)$"),
        ({"runs": ["c", "d"]}, "^runs: is given twice"),
    ],
)
def test_compare_ignores_no_setting(settings, message, tmp_path):
    with pytest.raises(InputError, match=message):
        vgg_lit.compare("a", "b", **settings)
    assert not list(tmp_path.iterdir())


def test_the_module_of_compare_stays_a_module():
    assert vgg_lit.compare.main.__module__ == "vgg_lit.compare"
