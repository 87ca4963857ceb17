"""The command line of every verb: help, `--cfg`, completion, exit codes."""

import json
import re

import pytest
import yaml
from operating_systems import posix
from PIL import Image

from vgg_lit.config.group_options import BASES, config_folder
from vgg_lit.runs import Run
from vgg_lit.system.operating_system import inner_quote
from vgg_lit.system.overrides import as_overrides

VERBS = sorted(file.stem for file in config_folder().glob("*.yaml"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", VERBS)
def test_help_shows_examples_and_settings(name, verb):
    done = verb(name, "--help")
    assert done.code == 0
    assert f"python -m vgg_lit.{name}" in done.out
    assert "Examples" in done.out
    assert "${" not in done.out
    assert done.err == ""


def test_help_of_train_lists_every_group_and_option(verb):
    out = verb("train", "--help").out
    for folder in config_folder().iterdir():
        if folder.is_dir() and folder.name not in ("hydra", "local"):
            assert f"{folder.name}:" in out, folder.name
            for file in folder.glob("*.yaml"):
                is_base = (folder.name, file.stem) in BASES
                assert bool(re.search(rf"[ ,]{file.stem}\b", out)) != is_base, file


def test_every_override_in_the_help_of_train_composes(verb, compose):
    """Includes every setting of the list of common overrides."""
    settings = verb("train", "--help").out.partition("Most used overrides")[2]
    typed = re.findall(r"^ +'?([\w.]+=[^\s']+)", settings, re.MULTILINE)
    assert len(typed) >= 12
    for override in typed:
        assert compose(override), override


@pytest.mark.parametrize("name", VERBS)
def test_cfg_job_shows_the_composed_config(name, verb):
    done = verb(name, "--cfg", "job")
    assert done.code == 0
    assert isinstance(yaml.safe_load(done.out), dict)


def test_cfg_job_shows_overridden_values(verb):
    shown = yaml.safe_load(verb("train", "model=vgg19", "seed=7", "--cfg", "job").out)
    assert shown["model"]["variant"] == "vgg19"
    assert shown["seed"] == 7


def test_texts_need_no_quotes_of_hydra(verb):
    typed = ("name=größe", "tags=[é]", "data=image_folder", "data.root=photos (1)")
    shown = yaml.safe_load(verb("train", *typed, "--cfg", "job").out)
    assert (shown["name"], shown["tags"], shown["data"]["root"]) == ("größe", ["é"], "photos (1)")


def test_a_sweep_over_texts_outside_ascii_runs_and_resumes(verb, tiny, tmp_path):
    line = ("-m", *tiny, "logger=none", "name=größe,straße", "hydra.sweep.dir=Läufe")
    for attempt in ("done in", "already done"):
        done = verb("train", *line)
        assert done.code == 0, done
        assert done.out.count(attempt) == 2
    runs = [Run(tmp_path / "Läufe" / job) for job in ("0", "1")]
    assert [run.config["name"] for run in runs] == ["größe", "straße"]
    assert verb("train", f"resume={runs[0].path}", "trainer.max_epochs=2").code == 0
    assert runs[0].overrides.begun_with[-1] == as_overrides({"name": "größe"}, inner_quote())[0]


def test_shell_completion_is_a_script(verb):
    done = verb("train", "-sc", "install=bash")
    assert done.code == 0
    assert "complete " in done.out


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("evaluate", [], ["run: set exactly one of"]),
        ("predict", ["run=x"], ["images", "is needed"]),
        ("evaluate", ["run=nowhere"], ["run=nowhere", "no such directory"]),
        ("predict", ["run=nowhere", "images=x"], ["run=nowhere"]),
        ("evaluate", ["run={run}", "split=train"], ["split=train", "'test', 'val' or 'all'"]),
        ("evaluate", ["run={run}", "checkpoint=first"], ["checkpoint=first", "best, last"]),
        ("evaluate", ["run={run}", "batch_size=0"], ["batch_size=0"]),
        ("evaluate", ["run={run}", "precision=8"], ["precision=8"]),
        ("evaluate", ["run={run}", "data=fashion"], ["data=fashion", "fashion_mnist"]),
        ("evaluate", ["run={run}", "rnu=3"], ["rnu", "did you mean run"]),
        ("predict", ["run={run}", "images=nowhere.png"], ["images=nowhere.png"]),
        ("predict", ["run={run}", "images=.", "accelerator=cpu"], ["holds no image", ".png"]),
        ("predict", ["run={run}", "images=x", "top_k=0"], ["top_k=0"]),
        ("predict", ["run={run}", "images=x", "batch_size=1.5"], ["batch_size=1.5", "integer"]),
        ("train", ["resume={run}", "model=vgg19"], ["model=vgg19", "keeps its model"]),
        ("train", ["resume={run}", "trainer.max_epochs=0"], ["trainer.max_epochs=0"]),
        ("train", ["data.train_size=9999999"], ["train_size=9999999", "5700"]),
        ("train", ["ckpt_path=nowhere.ckpt"], ["nowhere.ckpt: there is no such checkpoint"]),
        (
            "train",
            ["ckpt_path={run}/checkpoints/best.ckpt", "model=vgg19"],
            ["best.ckpt", "do not fit"],
        ),
        (
            "train",
            ["callbacks=[default,early_stopping]", "data.val_fraction=0"],
            ["callbacks.early_stopping.monitor=val/acc", "data.val_fraction=0"],
        ),
        (
            "train",
            ["callbacks=[default,early_stopping]", "trainer.limit_val_batches=0"],
            ["callbacks.early_stopping.monitor=val/acc", "trainer.limit_val_batches=0"],
        ),
        (
            "train",
            ["data=image_folder", "data.root=nowhere"],
            ["nowhere", "no such folder"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_bad_input_is_one_line_for_every_verb(name, arguments, words, verb, tiny_run, tmp_path):
    status = tiny_run.status
    done = verb(name, *(argument.format(run=tiny_run.path) for argument in arguments))
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err, done.err
    assert not list(tmp_path.glob("logs/runs/*/*/*"))
    assert tiny_run.status == status


def test_bad_jobs_of_a_sweep_are_named_and_the_others_run(verb, tiny, tmp_path):
    done = verb("train", "-m", *tiny, "logger=none", "seed=-1,0,x")
    assert done.code == 2
    lines = [line.split(": ") for line in done.err.splitlines()]
    assert [line[:3] for line in lines] == [
        ["error", "job 0, seed=-1", "seed=-1"],
        ["error", "job 2, seed=x", "seed=x"],
    ]
    (good,) = tmp_path.rglob("config.yaml")
    assert Run(good.parent).config["seed"] == 0
    assert Run(good.parent).status["status"] == "done"


@posix
@pytest.mark.parametrize("name", ["train", "compare"])
def test_a_working_directory_that_was_removed_is_one_line(name, verb, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = verb(name, "name=x")
    assert done.code == 2
    assert done.err == "error: the working directory no longer exists; change to another one\n"


def test_an_unexpected_error_is_not_reported_as_bad_input(verb, monkeypatch):
    from vgg_lit.training import experiment

    def fail(*args, **kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr(experiment, "run_experiment", fail)
    with pytest.raises(ValueError, match="a bug"):
        verb("train")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError("no more"), 3, "out of memory: no more; reduce batch_size"),
        (RuntimeError("CUDA out of memory. Tried to"), 3, "out of memory: CUDA out of memory."),
        (
            OSError(28, "No space left on device", "a.csv"),
            1,
            "a.csv: cannot be used: No space left on device",
        ),
    ],
)
def test_lack_of_memory_or_disk_space_is_one_line(error, code, said, verb, tiny_run, monkeypatch):
    def fail(settings):
        raise error

    monkeypatch.setattr("vgg_lit.predict.find_images", fail)
    done = verb("predict", f"run={tiny_run.path}", "images=x.png")
    assert done.code == code
    assert done.err.startswith(f"error: {said}")
    assert done.err.count("\n") == 1


def test_evaluate_accepts_other_data_with_the_same_classes(verb, tiny_run):
    """The run was tested on 40 images: they give its loss; all images of the sample do not."""
    losses = []
    for size in ("data.test_size=40", "data.test_size=null"):
        arguments = (f"run={tiny_run.path}", "data=fashion_mnist_sample", size, "accelerator=cpu")
        done = verb("evaluate", *arguments)
        assert (done.code, done.err) == (0, "")
        assert "test/acc" in done.out
        folder = tiny_run.path / "evaluations"
        record = max(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        losses.append(json.loads(record.read_text())["metrics"]["test/loss"])
    assert losses[0] == pytest.approx(tiny_run.metrics["test/loss"])
    assert losses[1] != pytest.approx(tiny_run.metrics["test/loss"])


def test_predict_accepts_one_image_or_a_glob(verb, tiny_run, tmp_path):
    for name in ("a", "b"):
        Image.new("L", (30, 30), 80).save(tmp_path / f"{name}.png")
    for images, count in (("a.png", 1), ("'*.png'", 2)):
        done = verb(
            "predict",
            f"run={tiny_run.path}",
            f"images={images}",
            "output=out.csv",
            "accelerator=cpu",
        )
        assert (done.code, done.err) == (0, "")
        rows = (tmp_path / "out.csv").read_text().splitlines()
        assert len(rows) == 1 + count
        assert rows[0].startswith("image,class1,probability1")
