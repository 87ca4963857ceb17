"""The default directories of runs and sweeps."""

import re

from vgg_lit.config.resolvers import run_dir, sweep_dir


def test_run_directories_of_one_second_differ():
    names = {run_dir(None, None, None, "vgg11") for _ in range(40)}
    assert len(names) >= 39  # four hex digits may collide once
    pattern = r"logs/runs/vgg11/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{4}"
    assert all(re.fullmatch(pattern, name) for name in names)


def test_a_run_directory_is_named_after_name_experiment_or_model():
    assert run_dir(None, "mine", "exp", "vgg11").startswith("logs/runs/mine/")
    assert run_dir(None, None, "exp", "vgg11").startswith("logs/runs/exp/")
    assert run_dir("old/run", "mine", "exp", "vgg11") == "old/run"
    assert sweep_dir(None, None, "vgg11").startswith("logs/sweeps/vgg11/")
