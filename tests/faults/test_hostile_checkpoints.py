"""Twenty-four hostile checkpoints are refused by name, and none of their content is executed."""

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


def test_there_are_twenty_four():
    assert len(NAMES) == 24


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
    ):
        (path.parent / "x.png").write_bytes(b"")
        assert str(path) in refused(*arguments, f"checkpoint={path}", "accelerator=cpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_refusal_in_a_separate_process_takes_less_than_a_gibibyte(name, write, tiny_run, tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    command = ["predict", f"run={tiny_run.path}", f"checkpoint={write(name)}", "images=x.png"]
    process = subprocess.Popen(
        [sys.executable, "-m", f"vgg_lit.{command[0]}", *command[1:], "accelerator=cpu"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    err = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 2, err
    assert err.count("\n") == 1
    assert usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) < 2**30
