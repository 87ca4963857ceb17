"""Times of layers, and their sum compared with the time of the step."""

import re

import pytest

from vgg_lit.callbacks import LayerTimes, layer_times
from vgg_lit.callbacks.layer_times import StepMarks


def test_times_are_differences_of_time_stamps():
    """Time stamps in seconds; the backward pass runs in reverse order."""
    step = StepMarks(10.0)
    step.forward_starts = {"first": 10.1, "second": 10.3}
    step.forward_ends = {"first": 10.3, "second": 10.4}
    step.backward_starts = {"second": 10.5, "first": 10.7}
    step.backward_end, step.end = 11.2, 11.5
    assert step.milliseconds() == pytest.approx(
        {
            "step": 1500,
            "first forward": 200,
            "second forward": 100,
            "second backward": 200,
            "first backward": 500,
        }
    )


def rows(printed):
    """Returns the numbers of each table row, by layer."""
    cells = (re.findall(r"[^│┃]+", line) for line in printed.splitlines() if "│" in line)
    return {
        name.strip(): [float(part.strip(" %").replace(",", "")) for part in numbers]
        for name, *numbers in ([c for c in line if c.strip()] for line in cells)
    }


def test_every_layer_has_one_row(train, tmp_path, capsys):
    settings = ("callbacks=[default,layer_times]", "callbacks.layer_times.steps=2")
    run = train(tmp_path / "run", *settings, "callbacks.layer_times.warmup=1")
    printed = capsys.readouterr().out
    title = r"([\d.,]+) ms per step of 16 images, median of 2"
    step = float(re.findall(title, printed)[0].replace(",", ""))
    found = {
        name: one
        for name, one in rows(printed[printed.index("ms per step") :]).items()
        if len(one) == 3
    }
    net = run.load_classifier().net
    assert list(found) == [*net.layer_paths, "all layers"]
    total = found.pop("all layers")
    assert 0 < total[0] + total[1] <= 1.05 * step
    for column in (0, 1):
        assert total[column] == pytest.approx(sum(one[column] for one in found.values()), rel=0.05)
    assert total[2] == pytest.approx(100 * (total[0] + total[1]) / step, rel=0.05)


def test_training_is_unchanged_and_hooks_are_removed(train, tmp_path, monkeypatch):
    watched = []
    keep = LayerTimes.on_train_end
    monkeypatch.setattr(
        layer_times.LayerTimes,
        "on_train_end",
        lambda self, trainer, module: watched.append(module) or keep(self, trainer, module),
    )
    settings = "callbacks=[default,layer_times]", "callbacks.layer_times.warmup=1"
    run, plain = train(tmp_path / "run", *settings), train(tmp_path / "plain")
    assert run.metrics["train/loss"] == plain.metrics["train/loss"]
    (module,) = watched
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.net.modules())


def test_a_run_shorter_than_the_warm_up_prints_a_note(train, tmp_path, capsys):
    settings = ("callbacks=[default,layer_times]", "callbacks.layer_times.warmup=4")
    train(tmp_path / "run", *settings)
    assert "no layer was timed: the run had only 4 steps" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"steps": 0}, {"warmup": -1}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LayerTimes(**options)
