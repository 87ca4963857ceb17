"""Both versions of Hydra compose without a warning, and take resolvers."""

import os
import subprocess
import sys
import warnings

import hydra
from omegaconf import OmegaConf

from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE, register_resolver


def test_a_config_is_composed_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):
            assert hydra.compose("train", overrides=["seed=5"]).seed == 5


def test_a_resolver_is_registered_and_replaced():
    for factor in (2, 3):
        register_resolver("test_scaled", lambda x, k=factor: k * x, replace=True)
        assert OmegaConf.create({"a": 5, "b": "${test_scaled:${a}}"}).b == 5 * factor
    OmegaConf.clear_resolver("test_scaled")


def test_a_command_prints_no_warning(tmp_path):
    words = ("debug=fast_dev_run", "model.width=0.03125", "trainer.accelerator=cpu")
    done = subprocess.run(
        [sys.executable, "-m", "vgg_lit.train", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
