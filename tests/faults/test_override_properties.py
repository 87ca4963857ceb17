"""For any overrides, a command either runs or reports one line; users never get a traceback."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = [
    "seed",
    "name",
    "label_smoothing",
    "compile",
    "freeze",
    "objective",
    "trusted_targets",
    "model",
    "model.variant",
    "model.width",
    "model.head",
    "model.dropout",
    "model.init",
    "data",
    "data.batch_size",
    "data.image_size",
    "data.val_fraction",
    "data.train_size",
    "data.num_classes",
    "data.normalize",
    "data.source",
    "augment",
    "+augment.padding",
    "optimizer",
    "optimizer.lr",
    "optimizer.momentum",
    "+optimizer.betas",
    "scheduler",
    "scheduler.warmup_fraction",
    "trainer",
    "trainer.devices",
    "trainer.max_epochs",
    "trainer.max_time",
    "trainer.precision",
    "trainer.strategy",
    "trainer.limit_train_batches",
    "trainer.gradient_clip_val",
    "callbacks",
    "callbacks.checkpointing",
    "callbacks.checkpointing.monitor",
    "logger",
    "init.from",
    "init.layers",
    "hydra.run.dir",
    "hydra.job.chdir",
    "+anything",
    "~optimizer",
]

scalars = st.one_of(
    st.none().map(lambda _: "null"),
    st.booleans().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-3, 300).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["none", "default", "vgg11", "sgd", "cpu", "''", "${seed}", "${x}", "???", "{}", "[]"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(inner, max_size=2).map(
            lambda items: "{" + ",".join(f"k{i}:{item}" for i, item in enumerate(items)) + "}"
        ),
    ),
    max_leaves=4,
)
overrides = st.one_of(
    st.builds("{}={}".format, st.sampled_from(KEYS), values),
    st.builds("{}={}".format, st.sampled_from(KEYS), scalars),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).filter(
        lambda text: not text.startswith("-")
    ),
)


@pytest.fixture
def typed(verb, tiny, tmp_path, monkeypatch):
    """Runs a command line of `train` up to the point at which data is read and training starts."""
    from vgg_lit.training import experiment

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "run_experiment", lambda *_: {"val/acc": 0.5})
    return lambda *arguments: verb("train", *tiny, "logger=none", *arguments)


def check(typed, arguments):
    done = typed(*arguments)
    assert done.code in (0, 2), (arguments, done)
    lines = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == (done.code == 2), (arguments, done.err)
    assert all(line.startswith("error: ") for line in lines)


OPTIONS = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    # the fixture is shared by all examples
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=30, **OPTIONS)
@given(arguments=st.lists(overrides, min_size=1, max_size=2))
def test_overrides_are_refused_in_one_line_or_accepted(typed, arguments):
    check(typed, arguments)


@pytest.mark.slow
@settings(max_examples=1000, **OPTIONS)
@given(arguments=st.lists(overrides, min_size=1, max_size=3))
def test_many_overrides_are_refused_in_one_line_or_accepted(typed, arguments):
    check(typed, arguments)
