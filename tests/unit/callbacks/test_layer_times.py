"""A layer's time lasts from one moment to another, and all layers together take no more than a step."""

import re

import pytest

from vgg_lit.callbacks import LayerTimes, layer_times
from vgg_lit.callbacks.layer_times import StepMarks


def test_times_are_the_distances_of_moments():
    """In seconds: forward first then second, backward the other way round."""
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
    """The numbers of each line of the table, by its layer."""
    cells = (re.findall(r"[^│┃]+", line) for line in printed.splitlines() if "│" in line)
    return {
        name.strip(): [float(part.strip(" %").replace(",", "")) for part in numbers]
        for name, *numbers in ([c for c in line if c.strip()] for line in cells)
    }


def test_every_layer_is_in_the_table_once(train, tmp_path, capsys):
    settings = ("callbacks=[default,layer_times]", "callbacks.layer_times.steps=2")
    run = train(tmp_path / "run", *settings, "callbacks.layer_times.warmup=1")
    printed = capsys.readouterr().out
    title = r"([\d.,]+) ms a step of 16 images, median of 2"
    step = float(re.findall(title, printed)[0].replace(",", ""))
    found = {
        name: one
        for name, one in rows(printed[printed.index("ms a step") :]).items()
        if len(one) == 3
    }
    net = run.load_classifier().net
    assert list(found) == [*net.layer_paths, "all layers"]
    total = found.pop("all layers")
    assert 0 < total[0] + total[1] <= 1.05 * step
    for column in (0, 1):
        assert total[column] == pytest.approx(sum(one[column] for one in found.values()), rel=0.05)
    assert total[2] == pytest.approx(100 * (total[0] + total[1]) / step, rel=0.05)


def test_the_training_is_the_same_and_nothing_is_watched_any_more(train, tmp_path, monkeypatch):
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


def test_a_run_too_short_to_warm_up_says_so(train, tmp_path, capsys):
    settings = ("callbacks=[default,layer_times]", "callbacks.layer_times.warmup=4")
    train(tmp_path / "run", *settings)
    assert "no layer was timed: the run had only 4 steps" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"steps": 0}, {"warmup": -1}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LayerTimes(**options)
