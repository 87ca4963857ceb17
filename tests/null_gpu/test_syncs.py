"""No training, validation or test step waits for the device, except for the scaling of float16."""

import pytest

SETTINGS = [
    "augment=flip_shift",
    "augment=trivial_erasing",
    "augment=autoaugment_cutout",
    "augment=paper",
    "augment=cutmix",
    "callbacks=[default,ema]",
    "trainer.precision=32-true",
    "loss=focal",
    "optimizer=muon trainer.gradient_clip_val=null",
    "data.balanced=true",
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_step_waits_for_the_device(settings, null_gpu):
    assert null_gpu("tests/null_gpu/steps_without_sync.py", *settings.split()).endswith("ok\n")


def test_a_step_that_waits_is_found(null_gpu):
    with pytest.raises(AssertionError, match="called a synchronizing CUDA operation"):
        null_gpu("tests/null_gpu/steps_without_sync.py", "trainer.precision=16-mixed")
