"""Optimisers and their parameter groups; the learning rates of every schedule."""

import math
import re

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
)

from vgg_lit import optim
from vgg_lit.errors import ConfigError
from vgg_lit.models import build
from vgg_lit.optim import Steps, build_optimizer, build_scheduler

PEAK = 0.1
SCHEDULES = {
    "constant": {},
    "one_cycle": {},
    "cosine": {"warmup_fraction": 0.2},
    "linear": {},
    "polynomial": {},
    "cosine_restarts": {},
    "step": {"every_epochs": 2},
    "multistep": {"milestones": [1, 3]},
    "plateau": {"patience": 0},
}


def sgd(lr=PEAK):
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)


def schedule(name, optimizer, steps, **options):
    spec = {"_target_": f"vgg_lit.optim.{name}", **options}
    return build_scheduler(spec, optimizer, steps)


def rates(name, total, per_epoch=1, scores=None, **options):
    """The learning rate of each step (or epoch) of a run."""
    optimizer = sgd()
    config = schedule(name, optimizer, Steps(total, per_epoch), **options)
    found = []
    for index in range(total if config["interval"] == "step" else total // per_epoch):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        config["scheduler"].step(*([scores[index]] if scores else []))
    return found


@pytest.mark.parametrize(
    ("total", "warmup"),
    [
        (total, warmup)
        for total in (4, 10, 47, 1000)
        for warmup in (0.05, 0.3, 0.9)
        if warmup * total > 1  # torch's scheduler divides by warmup * total - 1
    ],
)
def test_one_cycle_is_torchs_own(total, warmup):
    optimizer = sgd()
    theirs = OneCycleLR(
        optimizer,
        PEAK,
        total_steps=total,
        pct_start=warmup,
        div_factor=25,
        final_div_factor=1e4,
        cycle_momentum=False,
    )
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step() if len(expected) < total else None
    assert rates("one_cycle", total, warmup_fraction=warmup) == pytest.approx(expected, abs=1e-12)


def test_one_cycle_has_the_configured_start_peak_and_end():
    found = rates("one_cycle", 101, warmup_fraction=0.5, start_factor=0.2, end_factor=0.01)
    assert found[0] == pytest.approx(0.2 * PEAK)
    assert max(found) == pytest.approx(PEAK, rel=1e-3)
    assert found.index(max(found)) in (49, 50)
    assert found[-1] == pytest.approx(0.01 * PEAK)


def test_cosine_has_a_linear_warm_up_and_then_falls():
    found = rates("cosine", 20, warmup_fraction=0.2, end_factor=0.1)
    assert found[:4] == pytest.approx([PEAK * (i + 1) / 5 for i in range(4)])
    for step in range(4, 20):
        share = 0.1 + 0.9 * (1 + math.cos(math.pi * (step - 4) / 16)) / 2
        assert found[step] == pytest.approx(PEAK * share)


def test_cosine_without_warm_up_starts_at_the_rate():
    assert rates("cosine", 10)[0] == PEAK


def torchs(schedule, total, **options):
    """The rates of a schedule of torch."""
    optimizer = sgd()
    theirs = schedule(optimizer, **options)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    return found


@pytest.mark.parametrize("power", [1.0, 2.0, 0.9])
def test_polynomial_is_torchs_own(power):
    expected = torchs(PolynomialLR, 30, total_iters=30, power=power)
    assert rates("polynomial", 30, power=power) == pytest.approx(expected)


def test_polynomial_warms_up_falls_and_ends_with_constant_steps():
    options = {"warmup_fraction": 0.2, "power": 2.0, "end_factor": 0.1, "final_fraction": 0.3}
    found = rates("polynomial", 20, **options)
    assert found[:4] == pytest.approx([PEAK * (i + 1) / 5 for i in range(4)])
    falling = [PEAK * (0.1 + 0.9 * (1 - i / 10) ** 2) for i in range(10)]
    assert found[4:14] == pytest.approx(falling)
    assert found[14:] == pytest.approx([0.1 * PEAK] * 6)


@pytest.mark.parametrize(("first", "factor", "cycles"), [(4, 1, 5), (3, 2, 3), (2, 3, 2)])
def test_cosine_restarts_is_torchs_own(first, factor, cycles):
    total = first * sum(factor**cycle for cycle in range(cycles))
    options = {"T_0": first, "T_mult": factor, "eta_min": 0.01 * PEAK}
    expected = torchs(CosineAnnealingWarmRestarts, total, **options)
    ours = {"cycles": cycles, "length_factor": float(factor), "end_factor": 0.01}
    assert rates("cosine_restarts", total, **ours) == pytest.approx(expected)


def test_cosine_restarts_after_a_warm_up_and_its_last_cycle_ends_with_the_run():
    found = rates("cosine_restarts", 20, warmup_fraction=0.2, cycles=2, length_factor=1.0)
    assert found[:4] == pytest.approx([PEAK * (i + 1) / 5 for i in range(4)])
    assert found[4:12] == pytest.approx(found[12:])
    assert found[4] == pytest.approx(PEAK)
    assert found[11] < 0.05 * PEAK
    one = {"warmup_fraction": 0.1, "end_factor": 0.2}
    assert rates("cosine_restarts", 50, cycles=1, **one) == pytest.approx(
        rates("cosine", 50, **one)
    )


def test_a_run_with_more_steps_than_planned_keeps_the_last_rate():
    for name in ("polynomial", "cosine_restarts"):
        optimizer = sgd()
        made = schedule(name, optimizer, Steps(4, 1), end_factor=0.5)["scheduler"]
        for _ in range(6):
            optimizer.step()
            made.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * PEAK)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("polynomial", {"power": 0.0}, "power=0.0: should be above 0"),
        ("polynomial", {"final_fraction": 1.0}, "final_fraction=1.0: should be at least 0 and"),
        (
            "polynomial",
            {"warmup_fraction": 0.5, "final_fraction": 0.5},
            "final_fraction=0.5: leaves no steps after the warm-up",
        ),
        ("cosine_restarts", {"cycles": 0}, "cycles=0: should be at least 1"),
        ("cosine_restarts", {"length_factor": 0.0}, "length_factor=0.0: should be above 0"),
    ],
)
def test_a_value_out_of_range_is_named(name, options, message):
    with pytest.raises(ConfigError, match=re.escape(f"scheduler.{message}")):
        schedule(name, sgd(), Steps(10, 2), **options)


def test_step_multiplies_every_n_epochs():
    found = rates("step", 12, per_epoch=2, every_epochs=2, factor=0.5)
    assert found == pytest.approx([PEAK * 0.5 ** (epoch // 2) for epoch in range(6)])


def test_multistep_multiplies_after_each_milestone():
    found = rates("multistep", 6, milestones=[1, 4], factor=0.1)
    assert found == pytest.approx([0.1, 0.01, 0.01, 0.01, 0.001, 0.001])


def test_plateau_multiplies_when_accuracy_has_not_risen_for_patience_epochs():
    scores = [0.1, 0.5, 0.5, 0.50001, 0.6, 0.6, 0.6, 0.6]
    found = rates("plateau", 8, scores=scores, patience=1, factor=0.1, min_lr=0.005)
    # the second epoch without a rise lowers it; rises below the threshold do not count
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.005])


def test_the_threshold_of_plateau_can_be_a_share_of_the_best_accuracy():
    scores = [0.5, 0.504, 0.504, 0.508]
    rel = rates("plateau", 4, scores=scores, patience=0, threshold=0.01, threshold_mode="rel")
    absolute = rates("plateau", 4, scores=scores, patience=0, threshold=0.003)
    assert rel == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert absolute == pytest.approx([0.1, 0.1, 0.1, 0.01])
    with pytest.raises(ConfigError, match="threshold_mode=relative: should be 'abs' or 'rel'"):
        schedule("plateau", sgd(), Steps(10, 2), threshold_mode="relative")


def test_plateau_monitors_validation_or_else_training_accuracy():
    for has_validation, monitor in ((True, "val/acc"), (False, "train/acc")):
        config = schedule("plateau", sgd(), Steps(10, 2, has_validation))
        assert config["monitor"] == monitor
        assert isinstance(config["scheduler"], ReduceLROnPlateau)
        assert config["scheduler"].mode == "max"


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("one_cycle", "step"),
        ("cosine", "step"),
        ("polynomial", "step"),
        ("cosine_restarts", "step"),
        ("step", "epoch"),
        ("multistep", "epoch"),
        ("plateau", "epoch"),
    ],
)
def test_the_interval_is_set_by_the_schedule(name, interval):
    assert schedule(name, sgd(), Steps(10, 2), **SCHEDULES[name])["interval"] == interval


def test_constant_has_no_schedule():
    assert schedule("constant", sgd(), Steps(10, 2)) is None


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "constant"])
@pytest.mark.parametrize("warmup", [0.05, 0.25, 0.5, 0.9])
def test_the_shortest_runs_have_a_positive_rate(name, total, warmup):
    options = dict(SCHEDULES[name])
    if name in ("one_cycle", "cosine", "linear", "polynomial", "cosine_restarts"):
        options["warmup_fraction"] = warmup
    found = rates(name, total, scores=[0.1] * total if name == "plateau" else None, **options)
    assert len(found) == total
    assert all(0 < rate <= PEAK for rate in found)
    # even a single step has a useful rate
    assert max(found) >= PEAK / 50


@pytest.mark.parametrize("name", ["one_cycle", "cosine"])
def test_steps_beyond_the_planned_end_keep_the_last_rate(name):
    optimizer = sgd()
    scheduler = schedule(name, optimizer, Steps(5, 1), end_factor=0.01)["scheduler"]
    for _ in range(12):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * PEAK)


def test_every_group_keeps_its_peak():
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.5}]
    optimizer = torch.optim.SGD(groups)
    scheduler = schedule("one_cycle", optimizer, Steps(10, 1))["scheduler"]
    for _ in range(4):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert second == pytest.approx(5 * first)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("one_cycle", {"warmup_fraction": 0.0}, "warmup_fraction=0.0: should be above 0 and below"),
        ("one_cycle", {"start_factor": 1.5}, "start_factor=1.5"),
        ("one_cycle", {"end_factor": 0.0}, "end_factor=0.0"),
        ("cosine", {"warmup_fraction": 1.0}, "warmup_fraction=1.0"),
        ("step", {"every_epochs": 0}, "every_epochs=0: should be at least 1"),
        ("step", {"factor": 0.0}, "factor=0.0"),
        ("multistep", {"milestones": [0]}, "epochs in rising order, from 1"),
        ("multistep", {"milestones": [2, 2]}, "rising"),
        ("multistep", {}, "milestones: is needed"),
        ("plateau", {"factor": 1.0}, "factor=1.0"),
        ("plateau", {"min_lr": -1.0}, "min_lr=-1.0"),
        ("plateau", {"mode": "min"}, "unknown key scheduler.mode"),
        ("linear", {"end_factor": 2.0}, "end_factor=2.0: should be at least 0 and at most 1"),
        ("straight", {}, "no such class or function"),
    ],
)
def test_a_schedule_names_invalid_options(name, options, key):
    with pytest.raises(ConfigError) as refused:
        schedule(name, sgd(), Steps(10, 1), **options)
    assert key in str(refused.value)


@pytest.mark.parametrize("name", ["one_cycle", "cosine", "step", "multistep", "plateau", "none"])
def test_a_run_of_one_step_trains_and_tests(name, train, tmp_path):
    more = ["scheduler.milestones=[1]"] if name == "multistep" else []
    run = train(tmp_path / "run", f"scheduler={name}", "data.batch_size=64", "logger=none", *more)
    assert run.status["status"] == "done"
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == 1


def test_linear_falls_in_a_line_and_may_warm_up():
    assert rates("linear", 4) == pytest.approx([PEAK * x for x in (1, 0.75, 0.5, 0.25)])
    found = rates("linear", 12, warmup_fraction=1 / 6, end_factor=0.5)
    assert found[:3] == pytest.approx([PEAK / 3, PEAK * 2 / 3, PEAK])
    assert found[-1] == pytest.approx(PEAK * (1 - 0.5 * 0.9))


def epochs_of(layer_epochs, **options):
    net = build([[2], [3]], image_size=8, head="linear", num_classes=2)
    spec = {"_target_": "torch.optim.SGD", "lr": PEAK, "layer_epochs": layer_epochs, **options}
    return net, build_optimizer(spec, net)


def test_layer_epochs_compress_the_schedule_of_a_layer_and_then_end_its_training():
    net, optimizer = epochs_of({"block1": 2}, layer_rates={"block1": 10})
    made = schedule("linear", optimizer, Steps(total=8, per_epoch=2))
    found = []
    for _ in range(8):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        made["scheduler"].step()
    rest, block1 = zip(*found, strict=True)
    assert rest == pytest.approx([PEAK * (1 - i / 8) for i in range(8)])
    assert block1 == pytest.approx([10 * PEAK * max(0, 1 - i / 4) for i in range(8)])
    optim.fix_finished_layers(optimizer, epoch=1)
    assert all(p.requires_grad for p in net.parameters())
    optim.fix_finished_layers(optimizer, epoch=2)
    named = {name: p.requires_grad for name, p in net.named_parameters()}
    assert not named["features.0.weight"]
    assert named["features.3.weight"]


def test_layer_epochs_need_the_linear_schedule_and_whole_epochs():
    _, optimizer = epochs_of({"block1": 2})
    with pytest.raises(ConfigError, match="layer_epochs: needs scheduler=linear"):
        schedule("cosine", optimizer, Steps(8, 2))
    with pytest.raises(ConfigError, match=r"layer_epochs\.block1=0: should be at least 1"):
        epochs_of({"block1": 0})
    with pytest.raises(ConfigError, match=r"optimizer\.layer_epochs\.block9"):
        epochs_of({"block9": 1})
