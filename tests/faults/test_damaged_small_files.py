"""A damaged file of a run is one line with its name; the other runs are still seen."""

import json
import re
import shutil

import pytest

from vgg_lit.config.checks import to_plain
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep
from vgg_lit.training.resume_auto import last_unfinished

DAMAGES = {
    "empty": b"",
    "zeros": bytes(500),
    "cut": None,
    "a list": b"[1, 2]\n",
    "a number": b"3\n",
    "deep": b"[" * 100_000,
    "large": b"a: 1\n" * 2**20,
    "no text": b"\xff\xfe" * 100,
}

READERS = {
    "config.yaml": lambda run: run.config,
    "status.json": lambda run: run.status,
    "metrics.json": lambda run: run.metrics,
    "metrics.csv": lambda run: run.epochs(),
    "environment.json": lambda run: run.environment,
    "overrides.txt": lambda run: run.overrides,
    "found.json": lambda run: run.typed_config,
}

ACCEPTED = {
    ("config.yaml", "cut"),  # after a whole line
    ("metrics.csv", "empty"),  # no epoch yet
    *(
        ("overrides.txt", damage)
        for damage in ("empty", "zeros", "cut", "a list", "a number", "deep")
    ),
}
"""Damages after which the content is still valid."""


@pytest.fixture
def copies(tiny_run, tmp_path):
    """`copies(3)`: copies of a finished run below `runs/`."""

    def copies(count):
        paths = [tmp_path / f"runs/2026-01-0{n + 1}_00-00-00_abcd" for n in range(count)]
        return [Run(shutil.copytree(tiny_run.path, path)) for path in paths]

    return copies


def damage(run, name, how):
    file = run.path / name
    before = file.read_bytes() if file.exists() else b'{"optimizer.lr": {"typed": 1}}'
    cut = before[: len(before) // 2]
    if name == "config.yaml":
        cut = cut[: cut.rindex(b"\n") + 1]
    file.write_bytes(cut if DAMAGES[how] is None else DAMAGES[how])


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_one_line(name, how, copies):
    (run,) = copies(1)
    damage(run, name, how)
    if (name, how) in ACCEPTED:
        READERS[name](run)
        return
    with pytest.raises(InputError) as error:
        READERS[name](run)
    assert str(run.path / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status.json", '{"status": "x"}'),
        ("status.json", '{"status": ["done"]}'),
        ("metrics.json", '{"val/acc": "x"}'),
        ("metrics.csv", "epoch,val/loss\n1,x\n"),
        ("metrics.csv", "epoch,val/loss\n1\n"),
        ("metrics.csv", "step,val/loss\n1,2\n"),
        ("metrics.csv", 'epoch,val/loss\n1,"2\n'),
        ("found.json", '{"seed": {"typed": 1}}'),
        ("found.json", '{"optimizer.lr": {}}'),
    ],
)
def test_content_of_another_type_is_one_line(name, text, copies):
    (run,) = copies(1)
    (run.path / name).write_text(text)
    with pytest.raises(InputError, match=name):
        READERS[name](run)


@pytest.mark.parametrize("name", ["config.yaml", "status.json", "metrics.json", "metrics.csv"])
def test_compare_names_a_damaged_run_and_shows_the_others(name, copies, verb, tmp_path):
    runs = copies(3)
    damage(runs[1], name, "zeros")
    done = verb("compare", f"runs={tmp_path}/runs", f"output={tmp_path}/out")
    assert done.code == 0, done
    assert done.err.count("\n") == 1
    assert f"{runs[1].path / name}: " in done.err
    assert "this run is left out" in done.err
    assert len((tmp_path / "out/comparison.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("model", ["model: 3", "model: {_target_: 3}", "data: {}", "x: 1"])
def test_compare_leaves_out_a_run_without_a_network(model, copies, verb, tmp_path):
    runs = copies(3)
    runs[0].config_file.write_text(f"{model}\n")
    done = verb("compare", f"runs={tmp_path}/runs", f"output={tmp_path}/out")
    assert done.code == 0, done
    assert str(runs[0].config_file) in done.err


def test_compare_needs_two_readable_runs(copies, refused, tmp_path):
    runs = copies(2)
    damage(runs[1], "metrics.json", "cut")
    error = refused("compare", f"runs={tmp_path}/runs")
    assert re.match(r"1 run found: .*; at least 2 are needed", error)
    assert f"{runs[1].path}/metrics.json: cannot be read" in error


def test_the_runs_of_a_sweep_without_its_record_are_compared(copies, verb, tmp_path):
    copies(2)
    (tmp_path / "runs/sweep.json").write_text("{")
    done = verb("compare", f"runs={tmp_path}/runs", f"output={tmp_path}/out")
    assert done.code == 0, done
    assert "runs/sweep.json: cannot be read" in done.err


@pytest.mark.parametrize("name", ["config.yaml", "status.json", "found.json"])
def test_resume_auto_passes_over_a_damaged_run(name, copies, compose, tiny, capsys):
    runs = copies(3)
    for run in runs:
        run.set_status("failed", "killed")
    damage(runs[2], name, "deep")
    wanted = to_plain(compose(*tiny, "trainer.max_epochs=2"))
    found = last_unfinished(runs[0].path.parent, wanted)
    assert found is not None
    assert found.path == runs[1].path
    assert f"resume=auto: {runs[2].path / name}: " in capsys.readouterr().err


@pytest.mark.slow  # two sweeps
@pytest.mark.parametrize("name", ["status.json", "metrics.json"])
def test_a_sweep_runs_a_damaged_job_again(name, tiny, command, tmp_path):
    more = [*tiny, "seed=1,2", "hydra.sweep.dir=sweep", "test=false", "logger=none"]
    assert command("train", "-m", *more, cwd=tmp_path).code == 0
    (tmp_path / "sweep/0" / name).write_bytes(bytes(100))
    done = command("train", "-m", *more, cwd=tmp_path)
    assert done.code == 0, done
    assert f"sweep/0/{name}: cannot be read" in done.out + done.err
    assert "the job is run again" in done.out + done.err
    assert "[1]" in done.out
    assert Run(tmp_path / "sweep/0").metrics
    assert [job.status for job in Sweep(tmp_path / "sweep").jobs] == ["done", "done"]


def test_a_resumed_run_with_a_damaged_table_is_refused_before_it_is_changed(copies, verb):
    (run,) = copies(1)
    (run.path / "metrics.csv").write_text("epoch,val/loss\n1,x\n")
    before = run.config_file.read_bytes()
    done = verb("train", f"resume={run.path}", "trainer.max_epochs=3")
    assert done.code == 2
    assert "metrics.csv: cannot be read: val/loss=x: is not a number" in done.err
    assert run.config_file.read_bytes() == before
    assert run.status["status"] == "done"


def test_a_damaged_description_of_a_job_is_one_line(tmp_path):
    file = tmp_path / "sweep.json"
    job = {"number": 0, "overrides": ["a=1"], "directory": "0"}
    file.write_text(json.dumps([job]))
    assert Sweep(tmp_path).jobs[0].overrides == ["a=1"]
    for change in ({"number": "x"}, {"overrides": 3}, {"metrics": [1]}, {"status": "x"}):
        file.write_text(json.dumps([job | change]))
        with pytest.raises(InputError, match=r"sweep\.json: cannot be read: 0\."):
            Sweep(tmp_path)
