"""The environment of a run."""

import json
import subprocess
from pathlib import Path

from vgg_lit.system import environment
from vgg_lit.system.environment import describe_environment


def test_the_environment_has_versions_and_is_json():
    found = describe_environment()
    assert set(found["packages"]) >= {"torch", "lightning", "hydra-core"}
    assert all(found["packages"].values())
    assert found["vgg_lit"]
    assert found["python"].count(".") == 2
    assert json.loads(json.dumps(found)) == found


def test_the_commit_is_that_of_the_checkout():
    git = ["git", "-C", str(Path(environment.__file__).parent), "rev-parse", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True)
    expected = None if head.returncode else head.stdout.strip()
    assert describe_environment()["git_commit"] == expected


def test_a_package_that_is_not_installed_has_no_version():
    assert environment._version("there-is-no-such-package") is None
