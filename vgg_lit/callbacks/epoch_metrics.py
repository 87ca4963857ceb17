"""What an epoch measured, for all that looks at it at its end."""

import lightning.pytorch as L


def epoch_metrics(trainer: L.Trainer) -> dict[str, float]:
    """The metrics of the epoch that ends, by name.

    Lightning's `callback_metrics` go on showing the last validation in the epochs that have none
    (`check_val_every_n_epoch`), but not in a resumed run.
    """
    every = trainer.check_val_every_n_epoch or 1
    is_validated = (trainer.current_epoch + 1) % every == 0
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if is_validated or not name.startswith("val/")
    }


def log_epoch(trainer: L.Trainer) -> None:
    """Logs the training metrics of the epoch that ends, in all processes together.

    Lightning (2.6) does so once all callbacks are done: of an epoch that a run ends with once it is saved,
    a resumed run would not log them either.
    """
    connector, epoch_loop = trainer._logger_connector, trainer.fit_loop.epoch_loop
    epoch_loop._batches_that_stepped -= 1  # as Lightning: the step of the epoch's last batch
    connector.log_metrics(connector.metrics["log"])
    epoch_loop._batches_that_stepped += 1

    def only_reset() -> None:
        del connector.update_train_epoch_metrics  # the method is there again
        connector.reset_results()

    connector.update_train_epoch_metrics = only_reset  # type: ignore[method-assign]
