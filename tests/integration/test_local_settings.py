"""Each command with `conf/local/default.yaml`, which names the place of the data on this machine."""

import shutil
from pathlib import Path

import pytest
import torch
from folder_options import folder_options
from PIL import Image

from vgg_lit.config.schema import COMMANDS
from vgg_lit.data.data_record import read_data_record
from vgg_lit.interactive_run import InteractiveRun
from vgg_lit.runs import Run

pytestmark = pytest.mark.usefixtures("image_cache")

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "data.image_size=32",
    "data.batch_size=8",
    "data.val_fraction=0.2",
    "data.source.num_workers=0",
    "model=vgg11_bn",
    "model.width=0.03125",
    "trainer.max_epochs=1",
)

ARGUMENTS = {
    "train": ("data=image_folder", *SMALL),
    "resume": ("resume={run}", "trainer.max_epochs=2"),
    "tune": ("data=image_folder", "n_trials=1", *SMALL),
    "preview": ("data=image_folder", "data.image_size=32", "data.source.num_workers=0"),
    "summarize": ("model=vgg11_bn", "data=image_folder"),
    "predict": ("run={run}", "images={moved}/cat/00.png"),
    "compare": ("runs=[{run},{other}]",),
    "stylize": ("content=none.png", "style=none.png"),
    "reproduce": ("run={run}", "output={again}"),
    **dict.fromkeys(("evaluate", "visualize", "export"), ("run={run}",)),
}
"""Arguments of each command; the settings of the file replace `data.root` and `data_root`."""


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """A run of one epoch on a folder `before/pets`. Read only."""
    folder = tmp_path_factory.mktemp("before") / "pets"
    draws = torch.Generator().manual_seed(0)
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for index in range(20):
            pixels = torch.randint(0, 128, (12, 12, 3), generator=draws) + 120 * label
            Image.fromarray(pixels.byte().numpy()).save(folder / name / f"{index:02}.png")
    size = ("data.image_size=32", "trainer.max_epochs=1")
    return train(tmp_path_factory.mktemp("runs") / "run", *folder_options(folder, *size)), folder


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A copy of the run whose folder has moved, and the settings of this machine."""
    run, folder = trained
    conf, gone, moved = tmp_path / "conf", tmp_path / "gone", tmp_path / "there/pets"
    shutil.copytree(ROOT / "conf", conf, ignore=shutil.ignore_patterns("local"))
    shutil.copytree(folder, moved)
    copy = shutil.copytree(run.path, tmp_path / "run")
    for file in ("config.yaml", "data.json", "overrides.txt"):
        (copy / file).write_text((copy / file).read_text().replace(str(folder), str(gone / "pets")))
    monkeypatch.setattr("vgg_lit.config.command.config_folder", lambda: conf)
    monkeypatch.chdir(tmp_path)
    other = shutil.copytree(copy, tmp_path / "other")
    named = {"run": copy, "other": other, "moved": moved, "again": tmp_path / "again"}

    def place(settings):
        local = conf / "local/default.yaml"
        local.parent.mkdir()
        local.write_text(f"# @package _global_\n{settings}\n")
        return named

    return place


@pytest.fixture
def place_of_package(place, tmp_path):
    """The same, and a copy of the package for commands that start other processes."""
    for folder in ("vgg_lit", "hydra_plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return place


def test_every_command_is_tried():
    assert set(ARGUMENTS) == {*COMMANDS, "resume"}


IN_ONE_PROCESS = sorted(set(ARGUMENTS) - {"tune", "stylize"})


@pytest.mark.parametrize("name", IN_ONE_PROCESS)
def test_a_command_reads_the_folder_of_this_machine(name, place, verb):
    check(name, place("data: {root: there/pets}"), verb)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["evaluate", "export", "reproduce", "resume", "visualize"])
def test_a_command_finds_the_folder_in_that_of_this_machine(name, place, verb):
    check(name, place("data_root: there"), verb)


def check(name, named, verb):
    """Runs a command; asserts that it has read the moved folder, if it reads data."""
    arguments = [argument.format(**named) for argument in ARGUMENTS[name]]
    done = verb("train" if name == "resume" else name, *arguments)
    assert done.code == 0, done.err
    recorded = {"train": "logs/runs/*/*", "resume": "run", "reproduce": "again"}
    if name in recorded:
        (run,) = Path().glob(recorded[name])
        assert Run(run).status["status"] == "done"
        if name != "resume":
            assert read_data_record(run / "data.json").location == str(named["moved"])
    elif name == "evaluate":
        assert f"9 images of {named['moved']}" in done.out


@pytest.mark.slow
def test_a_search_reads_the_folder_of_this_machine(place_of_package, command, tmp_path):
    named = place_of_package("data: {root: there/pets}")
    arguments = [argument.format(**named) for argument in ARGUMENTS["tune"]]
    done = command("tune", *arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.code == 0, done.err
    (record,) = tmp_path.glob("logs/**/data.json")
    assert read_data_record(record).location == str(named["moved"])


def test_a_group_that_a_command_lacks_is_named_with_the_file(place, verb):
    named = place("defaults:\n  - override /logger: csv")
    for name in ("predict", "compare"):
        done = verb(name, *(argument.format(**named) for argument in ARGUMENTS[name]))
        assert done.code == 2
        assert done.err == (
            f"error: local/default.yaml: override /logger: {name} has no such group; select it in an "
            "experiment\n"
        )


@pytest.mark.parametrize("settings", ["data_root: there", "top_k: 1"])
def test_methods_of_a_run_ignore_settings_of_other_commands(settings, place, monkeypatch):
    named = place(settings)
    monkeypatch.setattr("vgg_lit.config.composing.config_folder", lambda: Path("conf").resolve())
    run = InteractiveRun(named["run"])
    assert len(run.predict("there/pets/cat/00.png")) == 1
    if settings.startswith("data_root"):
        assert run.draw("confusion")


def test_a_command_without_data_ignores_the_folder(place, verb):
    place("data: {root: there/pets}")
    done = verb("stylize", *ARGUMENTS["stylize"])
    assert (done.code, done.err) == (2, "error: weights: is needed; set it with weights=...\n")
