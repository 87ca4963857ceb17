"""The learning curves that a notebook shows during a training."""

from types import SimpleNamespace

import pytest

from vgg_lit.callbacks import live_display
from vgg_lit.callbacks.live_display import LiveDisplay


@pytest.fixture
def shown(monkeypatch):
    """The pages that a cell showed, in order."""
    pytest.importorskip("IPython")
    pages = []

    def display(page, display_id):
        pages.append(page.data)
        return SimpleNamespace(update=lambda page: pages.append(page.data))

    monkeypatch.setattr("IPython.display.display", display)
    return pages


def trainer(epoch, path, monkeypatch, **metrics):
    values = {name.replace("_", "/"): value for name, value in metrics.items()}
    monkeypatch.setattr(live_display, "epoch_metrics", lambda trainer: values)
    return SimpleNamespace(current_epoch=epoch, max_epochs=3, default_root_dir=str(path))


def test_one_picture_is_updated_after_each_epoch(shown, tmp_path, monkeypatch):
    callback = LiveDisplay()
    callback.on_train_start(trainer(0, tmp_path, monkeypatch), None)
    for epoch in range(2):
        values = {"train_loss": 2.0 - epoch, "val_acc": 0.1 * epoch}
        callback.on_train_epoch_end(trainer(epoch, tmp_path, monkeypatch, **values), None)
    assert [page.count("data:image/png") for page in shown] == [1, 1]
    assert "epoch 2 of 3, train/loss 1.000, val/acc 10.00 %" in shown[1]
    assert callback.curves["loss"]["train"] == ([1, 2], [2.0, 1.0])


def test_a_resumed_run_shows_its_earlier_epochs(shown, tmp_path, monkeypatch):
    (tmp_path / "metrics.csv").write_text("epoch,step,val/acc\n1,4,0.5\n2,8,0.6\n")
    callback = LiveDisplay()
    callback.on_train_start(trainer(1, tmp_path, monkeypatch), None)
    assert callback.curves == {"acc": {"val": ([1], [0.5])}}
