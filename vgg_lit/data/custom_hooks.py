"""The hooks of a user's data module that are called as Lightning calls them."""

from types import SimpleNamespace
from typing import Any

import lightning as L
import torch

from vgg_lit.data.user_code import check_saved_state, class_name, one_at_a_time, seeded


class CustomHooks(L.LightningDataModule):
    """Calls the hooks of a user's data module, with random numbers that depend on the seed alone.

    Args:
        module: the data module.
        seed: seed of the random numbers.
    """

    def __init__(self, module: L.LightningDataModule, seed: int) -> None:
        self.module = module
        super().__init__()
        self.seed = seed
        self._done: set[str] = set()

    @property
    def trainer(self) -> Any:
        """The Trainer, which the user's data module receives too."""
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        self._trainer = trainer
        stages = ("training", "validating", "testing", "predicting", "sanity_checking")
        alone = SimpleNamespace(world_size=1, num_nodes=1, global_rank=0, local_rank=0)
        vars(alone).update(dict.fromkeys(stages, False))
        self.module.trainer = trainer if trainer is not None else alone  # type: ignore[assignment]

    def prepare_data(self) -> None:
        """Calls the hook of the user once; processes on one machine wait for each other."""
        if "prepare" not in self._done:
            with one_at_a_time(self.module):
                self._once("prepare", self.module.prepare_data)

    def _once(self, name: str, call: Any) -> None:
        if name not in self._done:
            self._done.add(name)
            with seeded(self.seed, name):
                call()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Calls the hook of the user."""
        return self.module.on_before_batch_transfer(batch, dataloader_idx)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Calls the hook of the user."""
        return self.module.transfer_batch_to_device(batch, device, dataloader_idx)

    def on_exception(self, exception: BaseException) -> None:
        """Calls the hook of the user."""
        self.module.on_exception(exception)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the user's data module with the name of its class, for the checkpoint.

        Raises:
            InputError: the state has a value that cannot be read from a checkpoint.
        """
        state = self.module.state_dict()
        check_saved_state(state, self.module)
        return {"class": class_name(self.module), "state": state} if state else {}

    def check_state(self) -> None:
        """Checks the state before the training, so that a wrong type does not end its first epoch.

        A hook may need a Trainer and fail without one; its state is then checked by the first checkpoint.

        Raises:
            InputError: the state has a value that cannot be read from a checkpoint.
        """
        try:
            state = self.module.state_dict()
        except Exception:
            return
        check_saved_state(state, self.module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state of a data module of the same class."""
        if state_dict.get("class") == class_name(self.module):
            self.module.load_state_dict(state_dict["state"])
