"""Bitwise comparison of nested dicts and lists, such as checkpoints."""

import torch


def assert_same(found, expected, where="checkpoint"):
    """Asserts that two nested values are equal to the bit."""
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for index, item in enumerate(expected):
            assert_same(found[index], item, f"{where}[{index}]")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    else:
        assert found == expected, where
