"""Charts of a hyperparameter search."""

import numpy as np
import pytest

from vgg_lit.analysis.study_charts import importance_chart, objective_chart


@pytest.mark.parametrize(
    ("is_higher_better", "best"), [(True, [0.5, 0.5, 0.7, 0.7]), (False, [0.5, 0.5, 0.5, 0.4])]
)
def test_the_best_so_far_counts_only_finished_trials(is_higher_better, best):
    figure = objective_chart(
        [0, 1, 2, 4],
        [0.5, 0.1 + 0.8 * is_higher_better, 0.7, 0.4],
        [True, False, True, True],
        "val/acc",
        is_higher_better,
    )
    (axes,) = figure.axes
    done, pruned, line = axes.get_lines()
    assert list(done.get_xdata()) == [0, 2, 4]
    assert list(pruned.get_xdata()) == [1]
    assert list(line.get_ydata()) == best


def test_a_search_without_finished_trials_has_no_best():
    (axes,) = objective_chart([0], [0.3], [False], "val/loss", False).axes
    assert len(axes.get_lines()[-1].get_xdata()) == 0


def test_the_most_important_setting_is_on_top():
    (axes,) = importance_chart({"a": 0.2, "b": 0.7, "c": 0.1}, "val/acc").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["c", "a", "b"]
    assert np.allclose([bar.get_width() for bar in axes.patches], [0.1, 0.2, 0.7])


def test_the_number_of_a_single_trial_is_an_integer():
    (axes,) = objective_chart([3], [0.3], [True], "val/loss", False).axes
    assert all(tick == round(tick) for tick in axes.get_xticks())
