"""Files of a run that would take memory or time without end are refused by every command that reads them."""

import json
import shutil

import pytest
import torch
from memory import GROWTH, forget_peak, peak
from omegaconf import OmegaConf
from PIL import Image
from test_hostile_checkpoints import HOSTILE, RESUMED

from vgg_lit.runs import Run


@pytest.fixture
def bad(tiny_run, tmp_path):
    """A finished run in `runs/bad`, beside a sound one, in the working directory of `refused`."""
    Image.new("L", (64, 64)).save(tmp_path / "x.png")
    shutil.copytree(tiny_run.path, tmp_path / "runs/good")
    return Run(shutil.copytree(tiny_run.path, tmp_path / "runs/bad"))


def commands(tiny):
    """Returns the commands that read a run, by name; those that start a run write to `new`."""
    new = ("train", *tiny, "logger=none", "hydra.run.dir=new")
    cpu = "accelerator=cpu"
    return {
        "predict": ("predict", "run=runs/bad", "images=x.png", cpu),
        "evaluate": ("evaluate", "run=runs/bad", cpu),
        "visualize": ("visualize", "run=runs/bad", cpu, "figures=[filters]"),
        "export": ("export", "run=runs/bad", "formats=[safetensors]"),
        "stylize": (
            *("stylize", "content=x.png", "style=x.png", "weights=runs/bad", "steps=1", cpu),
            "size=32",
        ),
        "resume": ("train", "resume=runs/bad"),
        "init.from": (*new, "init.from=runs/bad"),
        "ckpt_path": (*new, "trainer.max_epochs=3", "ckpt_path=runs/bad/checkpoints/last.ckpt"),
        "teacher": (*new, "loss=distillation", "loss.teacher=runs/bad"),
        "reproduce": ("reproduce", "run=runs/bad", "output=new"),
        "compare": ("compare", "runs=runs", "output=new"),
        "summarize": ("summarize", "run=runs/bad"),
    }


OF_THE_NETWORK = ("predict", "evaluate", "visualize", "export", "stylize", "init.from", "teacher")
OF_THE_TRAINING = ("resume", "ckpt_path")
OF_A_CHECKPOINT = ("init.from", "ckpt_path", "teacher", "stylize")
"""Commands that do not read the config of the run."""

CHECKPOINTS = {
    **dict.fromkeys(
        (
            *("nine levels of nine references", "a circle", "sixty levels"),
            *("an expanded state of the optimiser", "a tensor without values"),
            *("an integer of a hundred bits", "room for a tebibyte", "weights spread out"),
        ),
        (*OF_THE_NETWORK, *OF_THE_TRAINING),
    ),
    **dict.fromkeys(
        (
            *("a number as the classes", "a number as the preprocessing"),
            *("terabytes of network", "a billion layers"),
        ),
        OF_THE_NETWORK,
    ),
    **dict.fromkeys(
        (
            *("a text as a score", "no number as a score", "many steps"),
            *("a number as the loops", "a number as the states"),
            *("a number as the schedules", "a number as the callbacks"),
        ),
        OF_THE_TRAINING,
    ),
}
"""The commands that refuse a run with a hostile checkpoint."""


@pytest.mark.parametrize("bomb", CHECKPOINTS)
def test_every_command_refuses_a_hostile_checkpoint(bomb, bad, refused, tiny, mark, tmp_path):
    for file in bad.checkpoints.glob("*.ckpt"):
        file.with_name(f"{file.name}.sha256").unlink()
        content = torch.load(file, weights_only=True)
        (HOSTILE | RESUMED)[bomb](content, mark)
        torch.save(content, file)
    before = bad.config_file.read_bytes()
    for name, command in commands(tiny).items():
        if name in CHECKPOINTS[bomb]:
            assert "runs/bad/checkpoints" in refused(*command), name
            assert not (tmp_path / "new").exists(), name
    assert bad.config_file.read_bytes() == before
    assert bad.is_done()


def levels(first, join):
    """Returns nine lines of YAML, each with nine aliases of the line before."""
    lines = [f"a0: &a0 {first}"]
    for number in range(1, 9):
        lines.append(f"a{number}: &a{number} {join([f'*a{number - 1}'] * 9)}")
    return "\n".join(lines) + "\n"


CONFIGS = {
    "aliases of lists": levels("[1, 1, 1]", lambda aliases: f"[{', '.join(aliases)}]"),
    "merged aliases": levels("{x: 1}", lambda aliases: f"{{<<: [{', '.join(aliases)}]}}"),
    "a thousand levels": "a: " + "[" * 1000 + "]" * 1000 + "\n",
    "an endless text": "a: " + "x" * 2**23 + "\n",
    "an integer of a hundred bits": f"seed: {10**30}\n",
    "two million values": "a: [" + "1," * 2_000_000 + "]\n",
}


@pytest.mark.parametrize("bomb", CONFIGS)
def test_every_command_refuses_a_config_without_bounds(bomb, bad, refused, tiny, tmp_path):
    config = bad.config_file.read_text(encoding="utf-8")
    without = "".join(line for line in config.splitlines(True) if not line.startswith("seed:"))
    bad.config_file.write_text(without + CONFIGS[bomb], encoding="utf-8")
    for name, command in commands(tiny).items():
        if name in OF_A_CHECKPOINT:
            continue
        assert "runs/bad/config.yaml" in refused(*command), name
        assert not (tmp_path / "new").exists(), name


SECTIONS = {name: {name: 3} for name in ("model", "data", "trainer", "callbacks", "metrics")}
SETTINGS = {
    "channels": {"data.in_channels": 10**9},
    "pixels": {"data.image_size": 10**9},
    "a number as the plan": {"model.plan": 3},
    "a number as the trusted packages": {"trusted_targets": 3},
    "a wide network": {"model.width": 1e9},
}


def write_settings(run, changes):
    config = OmegaConf.load(run.config_file)
    for key, value in changes.items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    run.config_file.write_text(OmegaConf.to_yaml(config), encoding="utf-8")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_command_refuses_a_number_as_a_section(name, bad, refused, tiny, tmp_path):
    write_settings(bad, SECTIONS[name])
    for verb, command in commands(tiny).items():
        if verb not in OF_A_CHECKPOINT:
            assert f"runs/bad/config.yaml: {name}=3: is not a section" in refused(*command), verb
            assert not (tmp_path / "new").exists(), verb


@pytest.mark.parametrize("bomb", SETTINGS)
def test_impossible_settings_take_no_memory(bomb, bad, verb, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_settings(bad, SETTINGS[bomb])
    codes = {}
    for name, command in commands(tiny).items():
        forget_peak()
        before = peak()
        done = verb(*command)
        assert peak() - before < GROWTH, name
        assert done.code in (0, 2), (name, done)  # a command may not read this setting
        assert done.code == 0 or done.err.count("\n") == 1, (name, done)
        codes[name] = done.code
        shutil.rmtree(tmp_path / "new", ignore_errors=True)
    print(bomb, codes)


SMALL = {
    ("metrics.json", "a list as a number"): '{"val/acc": [1]}',
    ("metrics.json", "levels"): '{"val/acc": ' + "[" * 10**5 + "]" * 10**5 + "}",
    ("metrics.json", "a long integer"): json.dumps({"val/acc": 10**30}),
    ("metrics.csv", "a long line"): "epoch,val/acc\n1," + "9" * 2**22 + "\n",
    ("status.json", "a list as a text"): '{"status": ["done"]}',
    ("status.json", "levels"): '{"status": ' + "[" * 10**5 + "]" * 10**5 + "}",
}


@pytest.mark.parametrize(("file", "bomb"), SMALL)
def test_compare_and_resume_refuse_small_files_without_bounds(file, bomb, bad, refused, tiny):
    (bad.path / file).write_text(SMALL[file, bomb], encoding="utf-8")
    names = {"metrics.json": ("compare",), "metrics.csv": ("compare", "resume")}
    for name in names.get(file, ("compare", "reproduce")):
        assert f"runs/bad/{file}" in refused(*commands(tiny)[name]), name
