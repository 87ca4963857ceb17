"""The schema of every verb refuses unknown keys and wrong types."""

import pytest
from pydantic import ValidationError

from vgg_lit.config import schema
from vgg_lit.config.checks import to_plain

VERBS = [
    *("train", "evaluate", "predict", "summarize", "visualize", "stylize"),
    *("compare", "tune", "export", "reproduce", "preview"),
]
NEEDED = {
    "compare": ["runs=a"],
    "predict": ["run=a", "images=b"],
    "stylize": ["content=a", "style=b", "weights=c"],
    **{verb: ["run=a"] for verb in ("evaluate", "visualize", "export", "reproduce")},
}


@pytest.fixture(params=VERBS)
def section(request, compose):
    """The schema class of a verb, and its config with only the required settings."""
    plain = to_plain(compose(*NEEDED.get(request.param, []), verb=request.param))
    return getattr(schema, request.param.capitalize()), plain


def test_the_default_config_of_a_verb_is_valid(section):
    known, plain = section
    assert set(known.model_validate(plain).model_fields_set) == set(plain)


def test_an_unknown_key_is_refused(section):
    known, plain = section
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        known.model_validate({**plain, "another": 1})


def test_every_key_is_type_checked(section):
    """No key accepts an arbitrary object."""
    known, plain = section
    assert plain
    for key in plain:
        with pytest.raises(ValidationError):
            known.model_validate({**plain, key: object()})
