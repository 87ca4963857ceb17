"""The command line in a multi-node run: each process in turn, with a fake rendezvous."""

import pytest

from vgg_lit.checkpoints.storage import SCHEMA, write_checkpoint
from vgg_lit.config.checks import to_plain
from vgg_lit.errors import InputError
from vgg_lit.launching import rendezvous
from vgg_lit.runs import Run
from vgg_lit.system import launch
from vgg_lit.training.starting import prepare

TYPED = ["model=vgg11", "trainer=multinode"]


@pytest.fixture
def started(monkeypatch, tmp_path):
    """`started(2)`: makes this a process of N nodes and returns the list of rendezvous calls."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rendezvous, "take_interface", lambda address: None)
    for name in (launch.FIRST_PROCESS, "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")

    def started(nodes, rank=0, before=None, told=None, elastic=True):
        names = {"RANK": rank, "LOCAL_RANK": 0, "WORLD_SIZE": nodes, "LOCAL_WORLD_SIZE": 1}
        for name, value in names.items():
            monkeypatch.setenv(name, str(value))
        if elastic:
            monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        calls = []

        def meet(found, decide, objection, minutes):
            calls.append((found.rank, minutes))
            if rank and (refusal := objection(told)):
                raise InputError(refusal)
            return told if rank else decide(before)

        monkeypatch.setattr(rendezvous, "meet", meet)
        return calls

    return started


@pytest.fixture
def begun(compose, tmp_path):
    """`begun("seed=1")`: a run of two nodes that has saved a checkpoint."""

    def begun(*overrides, name="2026-01-01_00-00-00_abcd"):
        config = to_plain(compose(*TYPED, "trainer.num_nodes=2", *overrides))
        run = Run.start(f"logs/runs/vgg11/{name}", config, overrides)
        write_checkpoint({"vgg_lit": {"schema": SCHEMA}}, run.checkpoints / "last.ckpt")
        return run

    return begun


def test_a_single_process_needs_no_rendezvous(started, monkeypatch):
    calls = started(1, elastic=False)
    assert prepare(["seed=1"]) == ["seed=1"]
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name)
    assert prepare(["seed=1"]) == ["seed=1"]
    assert calls == []


def test_a_sweep_has_one_directory_for_all_jobs(started, monkeypatch):
    started(1, elastic=False)
    *typed, directory = prepare(["-m", "model=vgg11,vgg13", "seed=0,1", "name=x"])
    assert typed == ["-m", "model=vgg11,vgg13", "seed=0,1", "name=x"]
    assert directory.startswith("hydra.sweep.dir=logs/sweeps/x/")
    given = ["-m", "seed=0,1", "hydra.sweep.dir=here"]
    assert prepare(given) == given


def test_all_processes_use_the_directory_of_the_first(started):
    started(2)
    *typed, directory = prepare(TYPED)
    assert typed == TYPED
    assert directory.startswith("hydra.run.dir=logs/runs/vgg11/")

    told = {"run": "logs/runs/x", "arguments": None, "process": 7}
    started(2, rank=1, told={**told, "settings": settings_of(TYPED, started)})
    assert prepare(TYPED) == [*TYPED, "hydra.run.dir=logs/runs/x"]


def settings_of(typed, started):
    from vgg_lit.training.resume_auto import read_command_line

    return read_command_line(typed).settings


def test_settings_that_differ_from_the_first_process_are_refused(started):
    started(2)
    told = {"run": "x", "arguments": None, "process": 7, "settings": settings_of(TYPED, started)}
    started(2, rank=1, told=told)
    with pytest.raises(InputError, match=r"seed=1 \(was 0\) on rank 0; start all ranks"):
        prepare([*TYPED, "seed=1"])
    prepare([*TYPED, "data_root=/elsewhere"])  # may differ between machines


def test_the_timeout_is_read_from_the_config(started):
    calls = started(2)
    prepare([*TYPED, "trainer.rendezvous_timeout=0.5"])
    assert calls == [(0, 0.5)]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["trainer.num_nodes=3"], r"trainer\.num_nodes=3"),
        (["trainer.devices=2"], r"trainer\.devices=2"),
        (["trainer.num_nodes=many"], r"trainer\.num_nodes=many"),
        (["-m", "seed=0,1"], "a sweep cannot be started by torchrun"),
    ],
)
def test_conflicts_are_reported_before_the_rendezvous(typed, message, started):
    calls = started(2)
    with pytest.raises(InputError, match=message):
        prepare([*TYPED, *typed])
    assert calls == []


def test_invalid_overrides_are_left_to_hydra(started):
    calls = started(2)
    assert prepare(["model=nothing", "resume=auto"]) == ["model=nothing"]
    assert calls == []


def test_the_run_of_an_earlier_attempt_is_resumed(started, begun):
    run = begun()
    started(2, before=str(run.path))
    assert prepare(TYPED) == [f"resume={run.path}"]


def test_an_attempt_without_a_checkpoint_is_restarted(started, begun):
    run = begun()
    (run.checkpoints / "last.ckpt").unlink()
    started(2, before=str(run.path))
    assert prepare(TYPED)[-1].startswith("hydra.run.dir=")


def test_resume_auto_adapts_to_the_number_of_nodes(started, begun):
    run = begun()
    begun("seed=1", name="2026-01-02_00-00-00_abcd")
    started(2)
    assert prepare([*TYPED, "resume=auto"]) == [f"resume={run.path}"]
    started(1)
    changed = [f"resume={run.path}", "trainer.num_nodes=1"]
    assert prepare([*TYPED, "resume=auto"]) == changed
    assert prepare([*TYPED, "trainer.num_nodes=1", "resume=auto"]) == changed


def test_each_rank_resumes_with_its_own_place_of_the_data(started):
    told = {"run": "logs/runs/x", "process": 7, "arguments": ["resume=logs/runs/x", "test=false"]}
    typed = [*TYPED, "resume=auto", "data_root=/here"]
    started(2)
    told["settings"] = settings_of(typed, started)
    started(2, rank=1, told=told)
    own = [*told["arguments"], "data_root=/here"]
    assert prepare(typed) == own  # also if rank 0 has the data where the run had them
    moved = {**told, "arguments": [*told["arguments"], "data_root=/there"]}
    started(2, rank=1, told=moved)
    assert prepare(typed) == own


def test_a_named_run_keeps_the_overrides_and_adapts_to_the_nodes(started, begun):
    run = begun()
    started(1)
    typed = [f"resume={run.path}", "trainer.max_epochs=30"]
    forced = [typed[0], "++trainer.max_epochs=30"]
    assert prepare(typed) == [*forced, "trainer.num_nodes=1"]
