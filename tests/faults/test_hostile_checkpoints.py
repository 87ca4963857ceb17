"""Hostile checkpoints are refused by name, and none of their content is executed."""

import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch

from vgg_lit.checkpoints.storage import SCHEMA


class Payload:
    """An object that writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


class Room:
    """An object that allocates a tebibyte when it is unpickled."""

    def __reduce__(self):
        return bytearray, (2**40,)


def _model(**changes):
    def change(content, mark):
        content["hyper_parameters"]["model"] = {
            **({} if changes.pop("alone", False) else content["hyper_parameters"]["model"]),
            **{key: str(mark) if value == "mark" else value for key, value in changes.items()},
        }

    return change


def _put(*path):
    def change(content, mark):
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = Payload(mark)

    return change


def _schema(schema):
    return lambda content, mark: content["vgg_lit"].update(schema=schema)


def _spread(content, mark):
    content["hyper_parameters"]["model"]["width"] = 1000.0
    for name, weight in content["state_dict"].items():
        if weight.ndim == 4:
            content["state_dict"][name] = torch.zeros(1).expand(64_000, 64_000, 3, 3)


def _nested(content, mark):
    bomb = [1] * 9
    for _ in range(8):
        bomb = [bomb] * 9
    content["hyper_parameters"]["model"]["plan"] = bomb


def _circle(content, mark):
    content["hyper_parameters"]["self"] = content["hyper_parameters"]


def _deep(content, mark):
    nested: list = []
    for _ in range(60):
        nested = [nested]
    content["hyper_parameters"]["nested"] = nested


def _expanded(content, mark):
    content["optimizer_states"][0]["state"]["more"] = torch.zeros(1).expand(2**31)


def _without_values(content, mark):
    name = next(iter(content["state_dict"]))
    content["state_dict"][name] = content["state_dict"][name].to("meta")


def _hyperparameters(**changes):
    return lambda content, mark: content["hyper_parameters"].update(changes)


HOSTILE = {
    "a payload among the weights": _put("state_dict", "net.payload"),
    "a payload among the settings": _put("hyper_parameters", "payload"),
    "a payload as the epoch": _put("epoch"),
    "a payload as the schema": _put("vgg_lit", "schema"),
    "os.system": _model(_target_="os.system", command="mark", alone=True),
    "builtins.exec": _model(_target_="builtins.exec", alone=True),
    "subprocess.Popen": _model(_target_="subprocess.Popen", args=["touch", "mark"], alone=True),
    "torch.hub.load": _model(_target_="torch.hub.load", repo_or_dir="x", model="y", alone=True),
    "trust": _model(_target_="vgg_lit.targets.trust", prefixes=["os"], alone=True),
    "a file of lightning's": _model(
        _target_="lightning.pytorch.loggers.tensorboard.save_hparams_to_yaml",
        config_yaml="mark",
        hparams={},
        alone=True,
    ),
    "a file of ours": _model(
        _target_="vgg_lit.data.image_cache.write_record",
        path="mark",
        fingerprint="",
        values={},
        alone=True,
    ),
    "a target inside": _model(init={"_target_": "os.system", "command": "mark"}),
    "terabytes of network": _model(width=1e4),
    "terabytes outside of the meta device": _model(
        _target_="torch.nn.Linear", in_features=2**40, out_features=1, device="cpu", alone=True
    ),
    "a billion layers": _model(
        _target_="torchvision.models.DenseNet", block_config=[10**9], alone=True
    ),
    "a billion copies": _model(
        _target_="torch.nn.Transformer", num_encoder_layers=10**9, alone=True
    ),
    "a billion recurrent layers": _model(
        _target_="torch.nn.LSTM", input_size=1, hidden_size=1, num_layers=10**9, alone=True
    ),
    "weights spread out": _spread,
    "a newer schema": _schema(SCHEMA + 1),
    "a schema of text": _schema("1; import os"),
    "no schema": lambda content, mark: content.pop("vgg_lit"),
    "nine levels of nine references": _nested,
    "a circle": _circle,
    "sixty levels": _deep,
    "an expanded state of the optimiser": _expanded,
    "a tensor without values": _without_values,
    "a number as the classes": _hyperparameters(classes=3),
    "a number as the preprocessing": _hyperparameters(preprocessing=3),
    "an integer of a hundred bits": lambda content, mark: content.update(global_step=10**30),
    "room for a tebibyte": lambda content, mark: content.update(room=Room()),
}


@pytest.fixture
def write(tiny_run, tmp_path, mark):
    """`write(name)`: writes a hostile checkpoint and returns its path."""

    def write(name):
        path = tmp_path / "stranger.ckpt"
        if name == "a bare pickle":
            path.write_bytes(pickle.dumps(Payload(mark)))
        elif name == "compressed zeros":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a/data.pkl", pickle.dumps({}))
                archive.writestr("a/data/0", bytes(10**8))
        else:
            content = torch.load(tiny_run.checkpoint(), weights_only=True)
            HOSTILE[name](content, mark)
            torch.save(content, path)
        return path

    return write


NAMES = [*HOSTILE, "a bare pickle", "compressed zeros"]


def test_there_are_thirty_two():
    assert len(NAMES) == 32


SLOW = ("a billion copies", "a billion recurrent layers")  # take seconds to reach the limit


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NAMES],
)
def test_a_hostile_checkpoint_is_refused(name, write, refused, tiny_run):
    path = write(name)
    for arguments in (
        ("predict", f"run={tiny_run.path}", "images=x.png"),
        ("evaluate", f"run={tiny_run.path}"),
        ("visualize", f"run={tiny_run.path}"),
        ("export", f"run={tiny_run.path}"),
    ):
        (path.parent / "x.png").write_bytes(b"")
        device = [] if arguments[0] == "export" else ["accelerator=cpu"]
        assert str(path) in refused(*arguments, f"checkpoint={path}", *device)


RESUMED = {
    **{
        name: HOSTILE[name]
        for name in (
            *("nine levels of nine references", "a circle", "a tensor without values"),
            *("an expanded state of the optimiser", "an integer of a hundred bits"),
        )
    },
    "a text as a score": lambda content, mark: content["callbacks"]["Checkpointing"].update(
        best_score="x"
    ),
    "no number as a score": lambda content, mark: content["callbacks"]["Checkpointing"].update(
        best_score=float("nan")
    ),
    "many steps": lambda content, mark: content.update(global_step=2**60),
    "a number as the loops": lambda content, mark: content.update(loops=3),
    "a number as the states": lambda content, mark: content.update(optimizer_states=3),
    "a number as the schedules": lambda content, mark: content.update(lr_schedulers=3),
    "a number as the callbacks": lambda content, mark: content.update(callbacks=3),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_hostile_state_is_not_resumed(name, tiny, tiny_run, mark, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = torch.load(tiny_run.checkpoint("last"), weights_only=True)
    RESUMED[name](content, mark)
    torch.save(content, tmp_path / "stranger.ckpt")
    more = (*tiny, "logger=none", f"hydra.run.dir={tmp_path}/new")
    settings = ["ckpt_path", "init.from"] if name in HOSTILE else ["ckpt_path"]
    for setting in settings:
        done = verb("train", *more, f"{setting}={tmp_path}/stranger.ckpt")
        assert done.code == 2, done
        assert done.err.count("\n") == 1
        assert "stranger.ckpt" in done.err
        assert not (tmp_path / "new").exists()


MEASURED = """
import atexit, runpy, sys
from memory import peak
atexit.register(lambda: print(peak()))
del sys.argv[0]
runpy.run_module(f"vgg_lit.{sys.argv[0]}", run_name="__main__", alter_sys=True)
"""
"""A command that ends with its peak memory. The system's own figure includes that of the parent."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_refusal_in_a_separate_process_takes_less_than_a_gibibyte(name, write, tiny_run, tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    file = write(name)
    words = [f"run={tiny_run.path}", f"checkpoint={file}", "images=x.png", "accelerator=cpu"]
    places = os.pathsep.join([os.getcwd(), os.path.dirname(__file__)])
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "predict", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert os.path.basename(file) in done.stderr
    assert int(done.stdout.splitlines()[-1]) < 2**30
