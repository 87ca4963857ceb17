"""The checks of a device: what they compare, and that an error is a result."""

import pytest
import torch
from device_checks import Commands, checked, relative_difference, same_draws, same_step

CPU = torch.device("cpu")


def test_a_device_equals_itself():
    assert same_draws(CPU) == "equal to the bit"
    text = same_step("vgg13_bn_slim", CPU)
    assert text == "logits differ by 0.0e+00, weights after a step by 0.0e+00 of the largest"
    assert torch.backends.cudnn.allow_tf32  # as before


def test_a_difference_is_relative_to_the_largest_value():
    found = relative_difference(torch.tensor([1.0, -4.5]), torch.tensor([1.0, -4.0]))
    assert found == pytest.approx(0.125)


def test_an_error_is_a_failed_result():
    def check():
        raise AssertionError("logits differ\nby 1")

    result = checked("step", check)
    assert not result.is_ok
    assert result.text == "FAILED: AssertionError: logits differ by 1"


def test_a_command_with_another_exit_code_fails(tmp_path):
    with pytest.raises(AssertionError, match="exit code 2: error: seed="):
        Commands(tmp_path, CPU).train("run", "seed=x")
