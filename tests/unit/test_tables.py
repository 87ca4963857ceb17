"""Printed facts and tables."""

import pytest

from vgg_lit.tables import (
    format_metric,
    is_higher_better,
    markdown_table,
    print_facts,
    print_metrics,
    print_rows,
    print_sentence,
)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("test/acc", 0.91234, "91.23 %"),
        ("test/top5", 1.0, "100.00 %"),
        ("val/loss", 0.123456, "0.1235"),
        ("throughput/images_per_second", 12345.6, "12,346"),
        ("seconds", 61.04, "61.0"),
        ("lr", 4e-7, "4e-07"),
        ("val/loss", float("nan"), "nan"),
    ],
)
def test_metrics_are_formatted_for_readers(name, value, text):
    assert format_metric(name, value) == text


def test_long_facts_are_not_wrapped(capsys):
    path = "/a" * 200
    print_facts({"run": path, "network": "vgg11"})
    assert capsys.readouterr().out == f"run      {path}\nnetwork  vgg11\n"


def test_metrics_are_in_the_order_of_their_stages(capsys):
    print_metrics({"test/acc": 0.5, "seconds": 3, "val/acc": 0.25, "train/loss": 1}, title="t")
    out = capsys.readouterr().out
    places = [out.index(name) for name in ("train/loss", "val/acc", "test/acc", "seconds")]
    assert places == sorted(places)
    assert "50.00 %" in out


def test_trivial_top_k_accuracies_are_left_out(capsys):
    metrics = {"test/acc": 0.5, "test/top2": 0.8, "test/top5": 1.0, "val/top5": 1.0}
    print_metrics(metrics, "t", num_classes=5)
    out = capsys.readouterr().out
    assert "test/top2" in out
    assert "top5" not in out


def test_bars_in_the_cells_of_markdown_are_escaped():
    assert markdown_table([{"a": "x|y"}]).splitlines()[2] == r"| x\|y |"


ROWS = [{"views": "single view", "top1": "87.00"}, {"views": "flip", "top1": "87.50"}]


def test_rows_are_printed_as_a_table(capsys):
    print_rows(ROWS, title="evaluation")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "evaluation"
    assert any("single view" in line and "87.00" in line for line in lines)
    assert any("flip" in line and "87.50" in line for line in lines)


def test_rows_are_formatted_as_a_markdown_table():
    assert markdown_table(ROWS) == (
        "| views | top1 |\n| --- | --- |\n| single view | 87.00 |\n| flip | 87.50 |\n"
    )


@pytest.mark.parametrize("text", ["trusted_targets=[mine]", "a[/b].png", "a:smile:b"])
def test_names_with_markup_characters_are_not_changed(text, capsys):
    print_rows([{"job": text}], title=f"of {text}")
    print_metrics({text: 1.0}, title="x")
    assert capsys.readouterr().out.count(text) == 3


@pytest.mark.parametrize(
    ("metric", "is_higher"),
    [
        ("val/acc", True),
        ("val/f1_macro", True),
        ("test/class_acc/Bag", True),
        ("val/loss", False),
        ("val/objective_loss", False),
        ("val/ece", False),
        ("train/loss", False),
        ("seconds", False),
        ("lr", False),
        ("throughput/images_per_second", True),
        ("throughput/data_wait", False),
    ],
)
def test_scores_are_maximised_and_losses_and_errors_are_minimised(metric, is_higher):
    assert is_higher_better(metric) is is_higher


@pytest.mark.parametrize("columns", ["0", ""])
def test_a_width_of_zero_counts_as_unset(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    print_sentence("word " * 40)
    print_rows([{"a": "x" * 100, "b": "y" * 100}], "title")
    out = capsys.readouterr().out
    assert "word " * 40 in out
    assert "y" * 100 in out


def test_long_metrics_are_whole_in_a_pipe_and_keep_their_ends_in_a_terminal(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    names = [f"test/recall/{'a_very_long_class_' * 6}{end}" for end in ("one", "two")]
    metrics = dict.fromkeys(names, float("nan"))
    print_metrics(metrics, title="t " * 60)
    out = capsys.readouterr().out
    assert all(f"{name} │   nan │" in out for name in names)
    assert ("t " * 60).strip() in out
    monkeypatch.setenv("COLUMNS", "80")
    print_metrics(metrics, title="t")
    out = capsys.readouterr().out
    assert "class_one │" in out
    assert "class_two │" in out
    assert max(map(len, out.splitlines())) <= 80
