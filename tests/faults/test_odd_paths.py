"""Run directories with odd or very long names: each verb takes them, and printed commands can be pasted."""

import os
import shutil
import subprocess

import pytest
from PIL import Image

from vgg_lit.runs import Run
from vgg_lit.system.overrides import as_overrides, pasteable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")

ODD = "-a =b, c [d] 'e' \"f\" $g #h {i} (j) \\k &l ;m *n? ~o `p` !q <r> %s é"


def words(command):
    """Returns the arguments that bash reads from a printed command, after `python -m vgg_lit.<verb>`."""
    assert command.startswith("python -m vgg_lit.")
    typed = command.replace("python", "printf '%s\\0'", 1)
    out = subprocess.run(["bash", "-c", typed], capture_output=True, check=True).stdout
    _, module, *arguments = out.decode().split("\0")[:-1]
    return [module.removeprefix("vgg_lit."), *arguments]


@pytest.fixture
def pasted(verb):
    """`pasted("python -m vgg_lit.evaluate run=x", "split=val")`: runs a printed command."""

    def pasted(command, *more):
        done = verb(*words(command), *more)
        assert done.code == 0, done
        return done

    return pasted


def printed(out, name):
    """Returns the command that a training has printed after a name."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
    return line.removeprefix(name).strip()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with an image."""
    monkeypatch.chdir(tmp_path)
    Image.new("L", (64, 64)).save(tmp_path / "image.png")
    return tmp_path


def test_the_commands_that_a_training_prints_can_be_pasted(pasted, tiny, folder):
    place = {"hydra.run.dir": f"logs/runs/{ODD}/{ODD}"}
    out = pasted(pasteable("train", place), *tiny, "callbacks=[default,tensorboard]").out
    for name, more in (
        ("evaluate", ["accelerator=cpu"]),
        ("predict", ["accelerator=cpu"]),
        ("visualize", ["accelerator=cpu", "figures=[history]"]),
        ("export", ["formats=[safetensors]"]),
    ):
        pasted(printed(out, name), *more)
    line = printed(out, "inspect")
    typed = line.replace("tensorboard", "printf '%s\\0'", 1)
    shown = subprocess.run(["bash", "-c", typed], capture_output=True, check=True).stdout
    assert shown.decode().split("\0")[:2] == ["--logdir", f"logs/runs/{ODD}"]
    run = Run(f"logs/runs/{ODD}/{ODD}")
    assert (run.path / "export/model.safetensors").is_file()
    run.set_status("preempted", "SIGTERM")
    pasted("python -m vgg_lit.train resume=latest")
    assert run.is_done()
    run.set_status("preempted", "SIGTERM")
    more = (*tiny, "callbacks=[default,tensorboard]", "resume=auto", *as_overrides(place))
    pasted("python -m vgg_lit.train", *more)
    assert run.is_done()
    assert [path.name for path in run.path.parent.iterdir()] == [ODD]


def test_every_command_takes_the_run(pasted, tiny, tiny_run, folder):
    for number in (0, 1):
        shutil.copytree(tiny_run.path, folder / ODD / str(number))
    shutil.copy("image.png", folder / ODD)
    run, new = str(folder / ODD / "0"), [*tiny, "logger=none"]
    for verb, settings, more in (
        ("predict", {"run": run, "images": f"{ODD}/image.png", "output": f"{ODD}/a.csv"}, []),
        ("summarize", {"run": run}, []),
        ("compare", {"runs": f"{ODD}", "output": f"{ODD}/out"}, []),
        ("compare", {"runs": [f"{ODD}/0", f"{ODD}/1"], "output": f"{ODD}/out"}, []),
        ("visualize", {"run": run, "image": "image.png"}, ["figures=[activations]"]),
        ("stylize", {"content": "image.png", "style": "image.png", "weights": run}, ["steps=1"]),
        ("train", {"init.from": run, "hydra.run.dir": f"{ODD}/2"}, new),
        (
            "train",
            {"ckpt_path": f"{run}/checkpoints/last.ckpt", "hydra.run.dir": f"{ODD}/3"},
            [*new, "trainer.max_epochs=3"],
        ),
        ("train", {"loss.teacher": run, "hydra.run.dir": f"{ODD}/4"}, [*new, "loss=distillation"]),
        ("train", {"resume": run}, ["trainer.max_epochs=3"]),
        ("preview", {"output": f"{ODD}/p.png"}, ["images=1", "epochs=1"]),
    ):
        on_cpu = ["accelerator=cpu"] if verb in ("predict", "visualize", "stylize") else []
        pasted(pasteable(verb, settings), *more, *on_cpu)
    written = {path.name for path in (folder / ODD).iterdir()}
    assert written >= {"0", "1", "2", "3", "4", "a.csv", "out", "p.png"}


def test_the_commands_that_a_sweep_prints_can_be_pasted(verb, pasted, tiny, folder):
    sweep = as_overrides({"hydra.sweep.dir": ODD})
    done = verb("train", "-m", *tiny, "logger=none", "seed=0,1,-1", *sweep)
    assert done.code == 2, done
    again = verb(*words(printed(done.out, "resume")))
    assert again.code == 2, again
    assert again.out.count("already done") == 2
    pasted(printed(done.out, "compare"))


LONG = "x" * 300
DEEP = "/".join(["x" * 200] * 25)


COMMANDS = (
    "evaluate run=PATH",
    "evaluate run=RUN checkpoint=PATH",
    "evaluate run=RUN data=image_folder data.root=PATH",
    "predict run=RUN images=PATH",
    "predict run=RUN images=image.png output=PATH",
    "predict model=PATH.onnx images=image.png",
    "predict model=PATH images=image.png",
    "visualize run=RUN image=PATH",
    "export run=RUN output=PATH formats=[safetensors]",
    "compare runs=PATH",
    "compare runs=[RUN,PATH]",
    "summarize run=PATH",
    "summarize output=PATH.md",
    "preview output=PATH.png",
    "stylize content=PATH style=image.png weights=RUN",
    "reproduce run=PATH",
    "reproduce run=RUN output=PATH",
    "train resume=PATH",
    "train ckpt_path=PATH",
    "train init.from=PATH",
    "train loss=distillation loss.teacher=PATH",
    "train data=image_folder data.root=PATH",
    "train data=fashion_mnist data_root=PATH",
    "train hydra.run.dir=PATH",
    "train resume=auto hydra.run.dir=PATH",
    "train -m seed=0,1 hydra.sweep.dir=PATH",
    "tune name=PATH",
)
DEEP_TOO = ("evaluate run=PATH", "preview output=PATH.png", "train hydra.run.dir=PATH")


@pytest.mark.parametrize(
    ("command", "path"),
    [*((command, LONG) for command in COMMANDS), *((command, DEEP) for command in DEEP_TOO)],
    ids=[*COMMANDS, *(f"{command}, deep" for command in DEEP_TOO)],
)
def test_a_path_that_is_too_long_is_one_line(command, path, verb, tiny, tiny_run, folder):
    name, *arguments = command.split()
    arguments = [a.replace("PATH", path).replace("RUN", str(tiny_run.path)) for a in arguments]
    if name == "train" and "resume=PATH" not in command:
        arguments = [*tiny, *arguments]
    done = verb(name, *arguments)
    assert done.code == 2, done
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    # from Python 3.14 on, a path that is too long does not exist
    assert any(reason in done.err for reason in ("too long", "no such", ": not in ")), done.err
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["image.png"]


def test_a_run_directory_without_room_for_its_files_is_refused(verb, tiny, folder):
    path = "/".join(["x" * 200] * 20)  # of at most 4,096 characters
    done = verb("train", *tiny, f"hydra.run.dir={path}")
    assert done.code == 2, done
    assert done.err.startswith("error: hydra.run.dir=")
    assert "too long" in done.err
    assert not os.path.exists(f"{path}/config.yaml")
