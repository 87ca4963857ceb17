"""Code named in an untrusted run directory is never executed, even if its config trusts it."""

import shutil

import pytest
import torch
from omegaconf import OmegaConf

from vgg_lit.runs import Run


@pytest.fixture
def stranger(tiny_run, mark, tmp_path, monkeypatch):
    """`stranger(change)`: a run with a changed config; its module `evil` must not be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("vgg_lit.targets._trusted", set())
    (tmp_path / "evil.py").write_text(
        f"open({str(mark)!r}, 'w')\nimport torch\nEvil = torch.nn.ReLU\n"
    )

    def stranger(change, head=""):
        run = Run(shutil.copytree(tiny_run.path, tmp_path / "stranger"))
        config = OmegaConf.load(run.config_file)
        config.trusted_targets = ["evil"]
        change(config)
        run.config_file.write_text(head + OmegaConf.to_yaml(config))
        return run

    return stranger


PARTS = [
    "callbacks.evil",
    "logger.evil",
    "model",
    "optimizer",
    "scheduler",
    "augment",
    "data.source",
]


def name_evil(part):
    return lambda config: OmegaConf.update(config, part, {"_target_": "evil.Evil"}, merge=False)


@pytest.mark.parametrize(
    "part",
    [
        p if p in ("callbacks.evil", "model") else pytest.param(p, marks=pytest.mark.slow)
        for p in PARTS
    ],
)
def test_resume_ignores_the_trusted_targets_of_the_run(part, stranger, refused):
    run = stranger(name_evil(part))
    before = run.config_file.read_bytes()
    error = refused("train", f"resume={run.path}")
    assert error.startswith(f"{part}._target_=evil.Evil: only names under ")
    assert "trusted_targets=[package]" in error
    assert run.config_file.read_bytes() == before


@pytest.fixture
def trained_again(command, tmp_path):
    """Returns the error of `vgg-reproduce` in a process that could import the module."""

    def trained_again(run):
        environment = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
        done = command("reproduce", f"run={run.path}", "output=again", **environment)
        assert done.code == 2, done
        assert "Traceback" not in done.err
        return done.err

    return trained_again


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_reproduce_ignores_the_trusted_targets_of_the_run(part, stranger, trained_again):
    assert f"{part}._target_=evil.Evil" in trained_again(stranger(name_evil(part)))


@pytest.mark.parametrize("name", ["evaluate", "visualize"])
def test_evaluation_ignores_the_trusted_targets_of_the_run(name, stranger, refused):
    run = stranger(name_evil("data.source"))
    error = refused(name, f"run={run.path}", "accelerator=cpu")
    assert "data.source._target_=evil.Evil" in error


@pytest.mark.parametrize("name", ["evaluate", "visualize", "predict"])
def test_a_target_in_the_checkpoint_is_refused(name, stranger, refused):
    run = stranger(lambda config: None)
    path = run.checkpoint()
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["model"] = {"_target_": "evil.Evil"}
    path.with_name("best.ckpt.sha256").unlink()
    torch.save(content, path)
    (run.path / "x.png").touch()
    images = [f"images={run.path / 'x.png'}"] if name == "predict" else []
    error = refused(name, f"run={run.path}", "accelerator=cpu", *images)
    assert "model._target_=evil.Evil" in error


HYDRA = {"_target_": "evil.Evil"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "head"),
    [
        ({"hydra": {"callbacks": {"evil": HYDRA}}}, ""),
        ({"hydra": {"job_logging": {"formatters": {"evil": {"()": "evil.Evil"}}}}}, ""),
        ({"hydra": {"searchpath": ["pkg://evil"]}}, ""),
        ({"defaults": ["evil"]}, ""),
        ({"callbacks": {"evil": HYDRA}}, "# @package hydra\n"),
        ({"name": "${oc.env:HOME}"}, ""),
    ],
)
def test_hydra_settings_in_the_config_are_not_executed(section, head, stranger, trained_again):
    trained_again(stranger(lambda config: config.update(section), head))


@pytest.mark.parametrize("name", ["evaluate", pytest.param("visualize", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "change",
    [
        {"data": 3},
        {"data": {"source": {"_target_": "torch.nn.ReLU"}}},
        {"data": {"source": "x"}},
        {"data": {"_target_": "torch.nn.ReLU"}},
        {"data": {"batch_size": "x"}},
        {"trainer": "x"},
        {"trainer": {"precision": [1]}},
        {"trainer": {"precision": "8-bit"}},
    ],
    ids=str,
)
def test_an_invalid_config_is_refused_in_one_line(change, name, stranger, refused):
    def merge(config):
        for key, value in change.items():
            OmegaConf.update(config, key, value, merge=isinstance(value, dict))

    refused(name, f"run={stranger(merge).path}", "accelerator=cpu")
