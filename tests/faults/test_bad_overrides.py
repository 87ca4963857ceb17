"""Forty overrides that Hydra, torch or Lightning reject are refused in one line each."""

from pathlib import Path

import pytest

BAD = [
    # Hydra syntax and config groups
    "=",
    "model=[vgg11",
    "seed={a:1",
    "model=vgg11\nseed=1",
    "name=a b=c",
    "hydra.run.dir=/dev/null/x",
    "hydra.verbose=5",
    "hydra/launcher=nothing",
    "hydra/job_logging=nothing",
    "~model",
    "model=[vgg11,vgg13]",
    "data=../../etc/passwd",
    "callbacks=[nothing]",
    "experiment=nothing",
    "seed=${nothing}",
    "seed=${oc.env:THERE_IS_NO_SUCH_VARIABLE}",
    "seed=${seed}",
    # targets
    "trainer._target_=os.system",
    "trainer._target_=torch.nn.Linear",
    "optimizer._target_=torch.optim.Nothing",
    "scheduler._target_=torch.optim.SGD",
    "+callbacks.mine._target_=os.system",
    "+callbacks.mine._target_=torch.nn.ReLU",
    "+logger.mine._target_=torch.nn.ReLU",
    "model={_target_:torchvision.models.resnet18,weights:nothing}",
    "data.source._target_=vgg_lit.data.image_cache.write_record",
    # values
    "seed=99999999999999999999",
    "label_smoothing=nan",
    "optimizer.lr=1e400",
    "model.width=1e9",
    "model.width=nan",
    "model.variant=[[1000000000]]",
    "model.num_classes=1000000000000",
    "data.image_size=1000000",
    "trainer.max_time=soon",
    "trainer.devices=-1",
    # files
    "ckpt_path=https://example.org/stranger.ckpt",
    "ckpt_path=/etc/passwd",
    "resume=/etc",
    "init.from=/etc/passwd",
]


def test_there_are_forty():
    assert len(BAD) == len(set(BAD)) == 40


@pytest.mark.parametrize("override", BAD)
def test_a_bad_override_is_refused(override, refused, tiny, tmp_path):
    error = refused("train", *tiny, "logger=none", override)
    key, _, value = override.partition("=")
    section = key.lstrip("+~").split(".")[0]
    assert section in error or Path(value).name in error
    assert not list(tmp_path.rglob("config.yaml"))
