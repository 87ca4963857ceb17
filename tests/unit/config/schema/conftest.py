import inspect

import pytest
from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError

from vgg_lit.config.group_options import config_folder
from vgg_lit.targets import locate


@pytest.fixture
def is_allowed():
    """`is_allowed(Section, "seed", -1)`: True if a setting of a section may have a value."""

    def is_allowed(section, name, value):
        field = section.model_fields[name]
        checked = TypeAdapter(field.rebuild_annotation())
        try:
            checked.validate_python(value, strict=section.model_config.get("strict"))
        except ValidationError:
            return False
        return True

    return is_allowed


@pytest.fixture
def arguments_of():
    """`arguments_of("loss")`: all arguments of the targets that the files of a group name."""

    def arguments_of(group):
        targets = set()
        for file in (config_folder() / group).glob("*.yaml"):
            targets |= {OmegaConf.to_container(OmegaConf.load(file)).get("_target_")}
        return {
            name
            for target in targets - {None}
            for name in inspect.signature(locate(target, prefixes=(target,))).parameters
        }

    return arguments_of
