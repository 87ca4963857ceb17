"""The environment of a run."""

import json
import re

from vgg_lit.system import environment
from vgg_lit.system.environment import describe_environment


def test_the_environment_has_versions_and_is_json():
    found = describe_environment()
    assert set(found["packages"]) >= {"torch", "lightning", "hydra-core"}
    assert all(found["packages"].values())
    assert found["vgg_lit"]
    assert found["python"].count(".") == 2
    assert re.fullmatch(r"[0-9a-f]{40}", found["git_commit"] or "0" * 40)
    json.dumps(found)


def test_a_package_that_is_not_installed_has_no_version():
    assert environment._version("there-is-no-such-package") is None
