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
