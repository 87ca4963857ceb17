"""Configs of trials, composed as the tune command composes them, and studies of both storages."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.config.schema import Tune
from vgg_lit.tuning.studies import StudyDirectory
from vgg_lit.tuning.trial_configs import TrialConfigs


@pytest.fixture
def tune():
    """`tune("seed=1")`: the settings of a search, and the configs of its trials."""
    register_resolvers()
    with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):

        def tune(*overrides):
            config = hydra.compose("tune", list(overrides), return_hydra_config=True)
            trials = TrialConfigs(config.hydra, GlobalHydra.instance().config_loader())
            return check_section(to_plain(config, without="hydra"), Tune), trials

        yield tune


@pytest.fixture(params=["sqlite", "journal"])
def directory(request, tmp_path):
    """The directory of a new study."""
    directory = StudyDirectory(tmp_path / "study")
    with directory.lock():
        directory.create(request.param, is_maximised=True)
    return directory
