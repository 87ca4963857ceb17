"""The cluster environment and the strategy that Lightning receives."""

import os

import pytest
import torch
from lightning.pytorch.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from vgg_lit.config.checks import to_plain
from vgg_lit.launching.ddp import (
    CompressedDDPStrategy,
    WatchedDDPStrategy,
    build_strategy,
    cluster_environment,
)

TORCHRUN = {"RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
SRUN = {
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_NNODES": "2",
}


@pytest.fixture
def started(monkeypatch):
    def started(environment):
        monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "1")  # so that monkeypatch restores it
        monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
        for name in {*TORCHRUN, *SRUN}:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return started


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, LightningEnvironment),
        ({"SLURM_NTASKS": "2"}, LightningEnvironment),  # in a batch script, outside srun
        (TORCHRUN, TorchElasticEnvironment),
        (SRUN, SLURMEnvironment),
    ],
)
def test_the_cluster_environment_matches_the_launcher(environment, kind, started):
    started(environment)
    found = cluster_environment()
    assert type(found) is kind
    if kind is not LightningEnvironment:
        assert (found.world_size(), found.global_rank(), found.local_rank()) == (2, 1, 0)
    if kind is SLURMEnvironment:
        assert not found.auto_requeue
        assert os.environ["SLURM_NTASKS_PER_NODE"] == "1"


@pytest.mark.parametrize("compression", [None, "bf16"])
def test_multi_node_runs_use_the_same_ddp_strategy(compression, started, compose):
    started(TORCHRUN)
    spec = to_plain(compose("trainer=multinode", "trainer.accelerator=cpu"))["trainer"]
    spec["gradient_compression"] = compression
    strategy = build_strategy(spec)
    assert type(strategy) is (CompressedDDPStrategy if compression else WatchedDDPStrategy)
    assert strategy._ddp_kwargs["static_graph"]
    assert strategy._ddp_kwargs["gradient_as_bucket_view"]
    assert strategy._timeout.total_seconds() == 600
    assert not {"process_timeout", "rendezvous_timeout", "gradient_compression"} & set(spec)


def test_a_task_of_srun_that_sees_one_device_uses_it(started):
    started({**SRUN, "SLURM_NNODES": "1", "SLURM_LOCALID": "1"})
    device = torch.device("cuda", 0)
    strategy = WatchedDDPStrategy(
        parallel_devices=[device], cluster_environment=cluster_environment()
    )
    assert (strategy.local_rank, strategy.root_device) == (1, device)
    assert (strategy.num_processes, strategy.world_size) == (2, 2)
    strategy._configure_launcher()  # the number of devices matches that of the tasks
    strategy.cluster_environment.validate_settings(strategy.num_processes, 1)
    started({})
    both = [torch.device("cuda", 0), torch.device("cuda", 1)]
    own = WatchedDDPStrategy(parallel_devices=both, cluster_environment=cluster_environment())
    assert own.num_processes == 2


def test_ddp_is_built_on_the_stream_of_the_training_and_does_not_measure_itself(monkeypatch):
    wrapped, rates = [], []

    class Wrapped:
        def __init__(self, model, **options):
            wrapped.append((model, options))

        def _set_ddp_runtime_logging_sample_rate(self, sample_rate):
            rates.append(sample_rate)

    monkeypatch.setattr("vgg_lit.system.lightning_internals.DistributedDataParallel", Wrapped)
    monkeypatch.setattr(torch.cuda, "Stream", lambda *_: pytest.fail("another stream"))
    strategy = WatchedDDPStrategy(parallel_devices=[torch.device("cuda", 0)], static_graph=True)
    module = torch.nn.Linear(2, 2)
    strategy._setup_model(module)
    assert wrapped == [(module, {"device_ids": [0], "static_graph": True})]
    (steps,) = rates
    assert steps > 1e9
