"""Detection of the launcher from the environment, and conflicts with the config."""

import os

import pytest

from vgg_lit.errors import ConfigError, InputError
from vgg_lit.system import launch
from vgg_lit.system.launch import check_launch, detect, first_host, launcher_changes

TORCHRUN = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_WORLD_SIZE": "2",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29400",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RUN_ID": "none",
}
SRUN = {
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_ID": "1234567",
    "SLURM_JOB_NAME": "vgg",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "8",
    "SLURM_NNODES": "2",
    "SLURM_STEP_NODELIST": "node[07-08]",
}


@pytest.fixture
def started(monkeypatch):
    """`started(TORCHRUN, RANK="0")`: sets the environment of a launcher."""
    for name in {
        *TORCHRUN,
        *SRUN,
        *(launch.FIRST_PROCESS, launch.STARTS_RANKS),
        *("SLURM_NODELIST", "SLURM_NTASKS_PER_NODE"),
    }:
        monkeypatch.delenv(name, raising=False)

    def started(environment, **others):
        for name, value in {**environment, **others}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    return started


def test_torchrun_is_detected(started):
    started(TORCHRUN)
    found = detect()
    assert found == ("torchrun", 3, 1, 4, 2, "10.0.0.1", 29400, True, True)
    assert found.processes_per_node == 2
    assert (launch.rank(), launch.prints_errors()) == (3, False)


def test_torch_variables_without_torchrun_are_detected(started):
    started({"RANK": "1", "WORLD_SIZE": "3"})
    found = detect()
    assert (found.num_nodes, found.local_rank, found.has_store) == (3, 0, False)


def test_srun_tasks_use_the_first_node_and_a_port_of_the_job(started):
    started(SRUN)
    assert detect() == ("srun", 5, 1, 8, 2, "node07", 15_000 + 4567, False, False)
    assert (launch.rank(), launch.prints_errors()) == (5, False)
    started(SRUN, MASTER_ADDR="login", MASTER_PORT="4000", SLURM_LOCALID="0")
    assert detect()[5:7] == ("login", 4000)


def test_one_process_per_terminal_prints_before_the_rendezvous(started):
    started(SRUN, SLURM_PROCID="0", SLURM_LOCALID="0")
    assert launch.prints_errors()
    started(SRUN, SLURM_PROCID="4", SLURM_LOCALID="0")
    assert not launch.prints_errors()
    started(SRUN, SLURM_PROCID="4", SLURM_LOCALID="0", VGG_LIT_MAIN_PROCESS="99")
    assert launch.prints_errors()  # after the rendezvous: the first process of each machine


@pytest.mark.parametrize(
    "without",
    [
        {"SLURM_STEP_ID": None},
        {"SLURM_JOB_NAME": "interactive", "SLURM_NTASKS": "1"},
        {"SLURM_NTASKS": None},
    ],
    ids=str,
)
def test_a_batch_script_outside_srun_is_a_single_process(without, started):
    started(SRUN, **without)
    assert detect() is None
    assert (launch.rank(), launch.prints_errors()) == (0, True)


@pytest.mark.parametrize(
    ("launcher", "others", "is_kept"),
    [
        ({}, {}, False),
        ({}, {"RANK": "1"}, False),
        ({}, {launch.STARTS_RANKS: "1"}, True),
        (TORCHRUN, {}, True),
        (SRUN, {}, True),
    ],
)
def test_a_rank_that_no_launcher_has_set_is_dropped(launcher, others, is_kept, started):
    started(launcher, **others, LOCAL_RANK="1")
    launch.drop_left_over_rank()
    assert ("LOCAL_RANK" in os.environ) == is_kept


def test_torchrun_takes_precedence_over_srun(started):
    started({**SRUN, **TORCHRUN})
    assert detect().launcher == "torchrun"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node7", "node7"),
        ("a,b", "a"),
        ("gpu[03-05,9],login", "gpu03"),
        ("n[8]", "n8"),
        ("rack[1-2]-n", "rack1-n"),
        ("", ""),
    ],
)
def test_first_host_of_a_slurm_node_list(nodes, first):
    assert first_host(nodes) == first


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({**TORCHRUN, "RANK": "x"}, "RANK=x: the launcher must set this variable to a number"),
        (
            {**TORCHRUN, "WORLD_SIZE": "5"},
            "WORLD_SIZE=5, LOCAL_WORLD_SIZE=2: torchrun must start",
        ),
        ({**TORCHRUN, "WORLD_SIZE": "0"}, "WORLD_SIZE=0"),
        ({**TORCHRUN, "RANK": "4"}, "rank 4 or local rank 1 is out of range"),
        ({**SRUN, "SLURM_NTASKS": "7"}, "SLURM_NTASKS=7, SLURM_NNODES=2: srun must start"),
        ({**SRUN, "SLURM_NTASKS_PER_NODE": "3"}, "SLURM_NTASKS=8, SLURM_NNODES=2"),
    ],
)
def test_an_inconsistent_environment_is_refused(environment, message, started):
    started(environment)
    with pytest.raises(InputError, match=message):
        detect()
    assert launch.prints_errors()  # also with another local rank than 0, which may be wrong too


@pytest.mark.parametrize(
    "environment", [TORCHRUN, {**SRUN, "SLURM_NTASKS": "4", "SLURM_PROCID": "3"}]
)
def test_a_conflict_with_the_config_names_the_remedy(environment, started):
    started(environment)
    check_launch(2, 2)
    check_launch(2, "auto")
    check_launch(2, [0, 1])
    for arguments, named in (((3, 2), "trainer.num_nodes=3"), ((2, [0]), "trainer.devices=1")):
        with pytest.raises(ConfigError, match=f"{named}: .* has started 2 .*trainer=multinode"):
            check_launch(*arguments)


def test_several_nodes_need_a_launcher(started):
    started({})
    check_launch(1, 2)
    with pytest.raises(ConfigError, match=r"trainer\.num_nodes=2: .* need torchrun or srun"):
        check_launch(2, 1)


def test_a_config_takes_its_counts_from_the_launcher(started, compose):
    started({})
    trainer = compose("trainer=multinode").trainer
    assert (trainer.num_nodes, trainer.devices) == (1, 1)
    started(TORCHRUN, WORLD_SIZE="6", GROUP_WORLD_SIZE="3")
    trainer = compose("trainer=multinode").trainer
    assert (trainer.num_nodes, trainer.devices) == (3, 2)
    assert launcher_changes({"num_nodes": 3, "devices": 4}) == {"devices": 2}


def test_tasks_of_srun_may_see_only_their_own_device(started):
    started(SRUN)
    assert launch.sees_own_device(1)
    assert not launch.sees_own_device(4)
    started(SRUN, SLURM_NTASKS="2", SLURM_PROCID="1", SLURM_LOCALID="0")  # one task on each node
    assert not launch.sees_own_device(1)
    started({**SRUN, **TORCHRUN})
    assert not launch.sees_own_device(1)
    for name in {*SRUN, *TORCHRUN}:
        started({name: None})
    assert not launch.sees_own_device(1)
