import pytest
from time_to_accuracy import Result, claim, first_to


def test_a_folder_keeps_the_state_of_one_setting(tmp_path):
    folder = tmp_path / "timings"
    claim(folder, {"ours": ["experiment=fast_cifar10"], "usual_epochs": 15})
    claim(folder, {"ours": ["experiment=fast_cifar10"], "usual_epochs": 15})
    with pytest.raises(SystemExit, match=r"15.*not.*20.*choose another --folder"):
        claim(folder, {"ours": ["experiment=fast_cifar10"], "usual_epochs": 20})


def test_the_fastest_training_that_reaches_an_accuracy_counts():
    results = [Result(2, 0.89, 1.0), Result(4, 0.92, 2.0), Result(3, 0.91, 3.0)]
    assert first_to(90, results) == results[1]
    assert first_to(92, results) == results[1]
    assert first_to(93, results) is None
