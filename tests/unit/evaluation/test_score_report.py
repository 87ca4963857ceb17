"""Scores as a table, a JSON file and Markdown."""

import json

import pytest

from vgg_lit.evaluation.score_report import report_scores
from vgg_lit.evaluation.scoring import rows_of
from vgg_lit.evaluation.views import Views

FOUND = {"test/loss": 0.5, "test/acc": 0.75, **{f"test/top{k}": 0.7 + k / 20 for k in range(1, 6)}}
ONE = [{"checkpoint": "a.ckpt", "precision": "32-true"}]


@pytest.fixture
def report(tmp_path, capsys):
    """`report(views, networks, found)`: the path without suffix, the record and the output."""

    def report(views=(), networks=("run",), found=FOUND, num_classes=10):
        rows = rows_of(views, networks)
        checkpoints = ONE * len(networks)
        metrics = [{**found, "test/loss": number / 4} for number in range(len(rows))]
        file = report_scores(
            tmp_path, "stem", "data|x", "test", checkpoints, rows, metrics, num_classes
        )
        record = json.loads(file.with_name(f"{file.name}.json").read_text())
        return file, record, capsys.readouterr().out

    return report


def test_one_row_is_a_list_of_metrics(report, tmp_path):
    file, record, out = report([Views()])
    assert file == tmp_path / "stem"
    assert record == {**ONE[0], "metrics": {**FOUND, "test/loss": 0.0}}
    assert [path.name for path in tmp_path.iterdir()] == ["stem.json"]
    assert "run on data|x" in out


def test_several_rows_are_a_table_and_the_last_is_the_requested_one(report):
    file, record, out = report([Views(flip=True)])
    assert record["metrics"]["test/loss"] == 0.25
    assert [row["metrics"]["test/loss"] for row in record["rows"]] == [0.0, 0.25]
    assert file.name.startswith("stem_")
    text = file.with_name(f"{file.name}.md").read_text()
    assert text.startswith(r"run on data\|x, test: accuracies in per cent")
    assert "| 75.00 " in text
    assert "network" not in text.partition("\n\n")[2].splitlines()[0]
    assert f"{file.name}.md" in out.replace("\n", "")


def test_a_fusion_names_its_networks(report):
    file, record, _ = report([Views()], ("a", "b"))
    assert record["checkpoints"] == ONE * 2
    assert [row["network"] for row in record["rows"]] == ["a", "b", "fusion of 2"]
    assert "fusion-of-2" in file.name


def test_more_metrics_are_columns_and_values_per_class_are_not(report):
    found = {**FOUND, "test/f1": 0.5, "test/f1/cat": 0.1}
    file, record, _ = report([Views(flip=True)], found=found)
    header = file.with_name(f"{file.name}.md").read_text().partition("\n\n")[2].splitlines()[0]
    assert "f1" in header
    assert "cat" not in header
    assert record["metrics"]["test/f1/cat"] == 0.1


@pytest.mark.parametrize("views", [Views(), Views(flip=True)])
def test_accuracies_that_are_always_100_per_cent_are_not_shown(views, report):
    _, record, out = report([views], num_classes=3)
    assert "top2" in out
    assert "top3" not in out
    assert "top5" not in out
    assert record["metrics"]["test/top5"] == FOUND["test/top5"]
