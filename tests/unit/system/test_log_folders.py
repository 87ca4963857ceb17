"""The patterns of run directories match those that commands write."""

from pathlib import PurePath

import pytest

from vgg_lit.system.log_folders import ATTEMPT, RUNS, SETS_OF_RUNS


@pytest.mark.parametrize(
    ("folder", "patterns"),
    [
        ("runs/vgg11/2026-01-31_12-00-00_1f3a", RUNS),
        ("sweeps/vgg11/2026-01-31_12-00-00_1f3a/0", RUNS),
        ("tune/small/trials/0", RUNS),
        ("tune/vgg11/2026-01-31_12-00-00_1f3a/trials/0", RUNS),
        ("sweeps/vgg11/2026-01-31_12-00-00_1f3a", SETS_OF_RUNS),
        ("tune/small", SETS_OF_RUNS),
    ],
)
def test_each_directory_has_a_pattern(folder, patterns):
    path = PurePath(folder)
    depth = len(path.parts)
    assert any(len(PurePath(one).parts) == depth and path.match(one) for one in patterns)


@pytest.mark.parametrize(
    ("name", "is_attempt"), [("0.attempt1", True), ("0", False), ("0.attempt1.x", False)]
)
def test_attempts_that_were_set_aside_are_found(name, is_attempt):
    assert bool(ATTEMPT.search(name)) == is_attempt
