import pytest
import torch
from torchvision.transforms import v2

from vgg_lit.data import autoaugment
from vgg_lit.data.autoaugment import AutoAugment, TrivialAugment
from vgg_lit.data.draws import Draws
from vgg_lit.data.operations import OPERATIONS, operate

SAMPLES = 40_000


@pytest.fixture
def applied(monkeypatch):
    """Records the operation names and magnitudes of every step instead of applying them."""
    steps = []

    def keep(operation, magnitude, *_):
        return operation, magnitude

    def record(images, plan, row):
        for row_of_step in row.unbind(1):
            operation, magnitude = (column[row_of_step] for column in plan)
            steps.append(([OPERATIONS[place] for place in operation.tolist()], magnitude))
        return images

    tables = (autoaugment._auto_augment, autoaugment._trivial_augment)
    monkeypatch.setattr(autoaugment, "plan", keep)
    monkeypatch.setattr(autoaugment, "carry_out", record)
    for table in tables:
        table.cache_clear()
    yield steps
    for table in tables:
        table.cache_clear()


@pytest.mark.parametrize("policy", ["cifar10", "imagenet", "svhn"])
def test_autoaugment_draws_from_the_torchvision_table(policy, applied):
    images = torch.zeros(SAMPLES, 1, 20, 30, dtype=torch.uint8)
    draws = Draws(0, 0, torch.arange(SAMPLES))
    AutoAugment(policy)(images, draws)
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy(policy))
    chosen = draws.integers("autoaugment policy", 25)
    counts = torch.bincount(chosen, minlength=25)
    assert counts.tolist() == pytest.approx([SAMPLES / 25] * 25, rel=0.15)
    assert len(applied) == 2
    for number, steps in enumerate(theirs._policies):
        members = (chosen == number).nonzero().flatten().tolist()
        for step, (name, probability, place) in enumerate(steps):
            names, magnitude = applied[step]
            done = [i for i in members if names[i] == name]
            assert {names[i] for i in members} <= {name, "Identity"}
            assert len(done) / len(members) == pytest.approx(probability, abs=0.07)
            values, is_signed = theirs._AUGMENTATION_SPACE[name]
            values = values(10, 20, 30)
            if values is None or not done:
                continue
            expected = float(values[place])
            signs = {-1.0, 1.0} if is_signed and expected else {1.0}
            assert {magnitude[i].item() for i in done} == {sign * expected for sign in signs}
            if len(signs) == 2:
                positive = sum(magnitude[i].item() > 0 for i in done) / len(done)
                assert positive == pytest.approx(0.5, abs=3 / len(done) ** 0.5)


def test_trivialaugment_draws_any_operation_at_any_strength(applied):
    images = torch.zeros(SAMPLES, 1, 32, 32, dtype=torch.uint8)
    TrivialAugment()(images, Draws(0, 0, torch.arange(SAMPLES)))
    ((names, magnitude),) = applied
    space = v2.TrivialAugmentWide()._AUGMENTATION_SPACE
    assert set(names) == set(space)
    for name, (values, is_signed) in space.items():
        found = magnitude[[i for i, other in enumerate(names) if other == name]]
        assert len(found) == pytest.approx(SAMPLES / len(space), rel=0.1)
        expected = values(31, 32, 32)
        expected = torch.zeros(1) if expected is None else expected.float().unique()
        both = torch.cat([expected, -expected]).unique() if is_signed else expected
        assert torch.equal((found + 0.0).unique(), both + 0.0)
        if is_signed:
            assert (found > 0).float().mean().item() == pytest.approx(30 / 62, abs=0.05)


def test_the_two_steps_are_applied_in_sequence():
    images = torch.randint(0, 256, (200, 3, 16, 16), dtype=torch.uint8)
    draws = Draws(3, 1, torch.arange(200))
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy("cifar10"))
    policy = draws.integers("autoaugment policy", 25).tolist()
    expected = images
    for step in range(2):
        applied = draws.uniform(f"autoaugment step {step}").tolist()
        negative = draws.integers(f"autoaugment sign {step}", 2).tolist()
        operations, magnitudes = [], []
        for sample, number in enumerate(policy):
            name, probability, place = theirs._policies[number][step]
            values, is_signed = theirs._AUGMENTATION_SPACE[name]
            values = values(10, 16, 16)
            magnitude = 0.0 if values is None else float(values[place])
            magnitudes.append(-magnitude if is_signed and negative[sample] else magnitude)
            is_applied = applied[sample] < probability
            operations.append(OPERATIONS.index(name) if is_applied else 0)
        expected = operate(expected, torch.tensor(operations), torch.tensor(magnitudes))
    assert torch.equal(AutoAugment()(images, draws), expected)
