import contextlib

import pytest
import torch
from measurement import (
    WARM_ROUNDS,
    WARM_STEPS,
    Elsewhere,
    by_turns,
    paired_ratio,
    print_closing_line,
    print_header,
    seconds_per_step,
    steps_needed,
)


def test_sides_alternate_and_warm_rounds_are_not_counted():
    calls = []

    def side(name):
        calls.append(name)
        return len(calls)

    measured = by_turns({"a": lambda: side("a"), "b": lambda: side("b")}, repeats=2)
    assert calls == ["a", "b"] * (WARM_ROUNDS + 2)
    first = 2 * WARM_ROUNDS + 1
    assert measured == {"a": [first, first + 2], "b": [first + 1, first + 3]}


def test_a_ratio_is_taken_within_rounds():
    # as if the machine were 10 times slower in the second round
    ratio = paired_ratio([2.0, 30.0, 4.0], [1.0, 10.0, 1.0])
    assert (ratio.median, ratio.low, ratio.high) == (3.0, 2.0, 4.0)
    assert str(ratio) == "3.000 (2.000 to 4.000)"


def test_sides_of_different_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0], [1.0, 2.0])


def test_a_block_runs_the_planned_steps(monkeypatch):
    steps = []
    clock = iter([10.0, 16.0])
    monkeypatch.setattr("measurement.time.perf_counter", lambda: next(clock))
    seconds = seconds_per_step(lambda: steps.append(1), 3, torch.device("cpu"))
    assert seconds == 2.0
    assert len(steps) == WARM_STEPS + 3
    assert steps_needed(repeats=4, steps=3) == (WARM_ROUNDS + 4) * len(steps)


def test_the_closing_line_is_name_and_figure(capsys):
    print_closing_line("pipeline", 4.25)
    assert capsys.readouterr().out == "pipeline: 4.250\n"
    with pytest.raises(ValueError, match="measured nan"):
        print_closing_line("pipeline", float("nan"))


def test_the_header_names_hardware_versions_and_settings(capsys):
    print_header("batches of 7")
    hardware, versions, load, settings = capsys.readouterr().out.splitlines()[:4]
    assert f"{torch.get_num_threads()} threads" in hardware
    assert f"torch {torch.__version__.partition('+')[0]}" in versions
    assert "processes" in load
    assert settings == "batches of 7"


@contextlib.contextmanager
def counting(start):
    """A side whose blocks return consecutive numbers."""
    numbers = iter(range(start, start + 100))
    yield lambda: next(numbers)


def test_a_side_in_a_separate_process_runs_blocks_and_ends():
    elsewhere = Elsewhere(counting, 5)
    assert [elsewhere.block(), elsewhere.block()] == [5, 6]
    elsewhere.close()
    assert elsewhere._process.exitcode == 0
