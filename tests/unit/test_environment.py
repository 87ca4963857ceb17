"""What a run depends on beside its config."""

import json
import subprocess
from pathlib import Path

from vgg_lit import environment
from vgg_lit.environment import describe_environment


def test_environment_says_what_ran_where_without_secrets():
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
