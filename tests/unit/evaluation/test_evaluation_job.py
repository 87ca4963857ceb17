"""The evaluate job: scores that cannot be used, and the files of a plain evaluation."""

import shutil

import pytest
import torch

from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.errors import TrainingError
from vgg_lit.evaluation.job import evaluate_networks
from vgg_lit.evaluation.measured_data import load_measured
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.evaluation.views import Views
from vgg_lit.runs import Run
from vgg_lit.tables import to_csv


@pytest.fixture
def run(tiny_run, tmp_path):
    ignored = shutil.ignore_patterns("evaluations", "predictions_*")
    return Run(shutil.copytree(tiny_run.path, tmp_path / "run", ignore=ignored))


def evaluate(run, checkpoint="best", **options):
    (trained,) = find_trained([run], checkpoint)
    data = {**run.config["data"], "augment": None, "preprocessing": trained.preprocessing}
    measured = load_measured([trained], data, "test", is_own=True)
    return evaluate_networks(
        [trained], [Views()], measured, "cpu", **{"precision": None, **options}
    )


def test_a_plain_evaluation_writes_the_outcomes_of_the_run(run):
    found = evaluate(run)
    assert found["test/acc"] == run.metrics["test/acc"]
    assert (run.path / "predictions_test.csv").is_file()
    (record,) = (run.path / "evaluations").glob("*.json")
    assert not list(record.parent.glob("predictions_*"))


@pytest.mark.parametrize("options", [{"precision": "32-true"}, {"metrics": {}}])
def test_other_options_leave_the_outcomes_of_the_run(options, run):
    evaluate(run, **options)
    assert not (run.path / "predictions_test.csv").exists()
    assert len(list((run.path / "evaluations").glob("predictions_*.csv"))) == 1


def test_a_checkpoint_of_another_epoch_than_the_metrics_leaves_the_outcomes_of_the_run(run, capsys):
    first, *others = run.epochs()
    others[-1]["val/loss"] = "9"  # the first epoch is the best
    run.metrics_file.write_text(to_csv([first, *others]))
    run.write_metrics({"val/loss": float(first["val/loss"]), "test/acc": 0.5})
    evaluate(run)
    assert (run.path / "predictions_test.csv").is_file()
    (run.path / "predictions_test.csv").unlink()
    (run.checkpoints / "best.ckpt").unlink()  # as callbacks.checkpointing.keep=last does
    capsys.readouterr()
    evaluate(run)
    remark = "(no best.ckpt; the recorded metrics are of epoch 1)"
    assert f"checkpoint  {run.checkpoints / 'last.ckpt'} {remark}" in capsys.readouterr().out
    assert not (run.path / "predictions_test.csv").exists()
    assert list((run.path / "evaluations").glob("predictions_*last-step*.csv"))


def test_scores_that_are_not_finite_are_one_line_and_not_written(run, tmp_path):
    content = read_checkpoint(run.checkpoint())
    name = next(name for name in content["state_dict"] if name.endswith("weight"))
    content["state_dict"][name].fill_(float("nan"))
    torch.save(content, tmp_path / "nan.ckpt")
    with pytest.raises(TrainingError, match=r"nan\.ckpt: the scores are not finite: the weights"):
        evaluate(run, str(tmp_path / "nan.ckpt"))
    assert not (run.path / "evaluations").exists()
    assert not (run.path / "predictions_test.csv").exists()
