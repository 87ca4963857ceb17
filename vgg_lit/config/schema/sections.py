"""The base class of the config sections, and the types that several of them share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Limit = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Interval = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Names = Annotated[list[str], Field(min_length=1)]
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Figure = Literal[
    "history",
    "confusion",
    "classes",
    "pairs",
    "galleries",
    "wrong_labels",
    "calibration",
    "filters",
    "activations",
    "embeddings",
    "attributions",
    "receptive_field",
    "augmentation",
]
Split = Literal["test", "val"]
MeasuredSplit = Literal["test", "val", "all"] | None

NEEDED = "???"
"""The default of a setting that the user must set, as Hydra writes it."""

DATA_ROOT = "${oc.env:VGG_LIT_DATA,data}"
DATA_ROOT_MEANS = (
    "Folder of the data sets; the environment variable VGG_LIT_DATA changes the default."
)
TRUSTED_MEANS = "Packages that _target_ may name, in addition to the built-in ones."


class Section(BaseModel):
    """A part of a config: no other keys, no other types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Target(BaseModel):
    """A part of a config that is built by its `_target_`: the documented arguments and any others.

    It serves help, reference and editors only. `vgg_lit.targets` checks the arguments of a run against
    the signature of the target.
    """

    model_config = ConfigDict(extra="allow")


def setting(
    default: Any,
    description: str,
    *,
    optional: bool = False,
    is_group: bool = False,
    alias: str | None = None,
    shown: str | None = None,
    **constraints: Any,
) -> Any:
    """Returns the field of a setting.

    Args:
        default: value in the files of conf/, which tests compare with it.
        description: one sentence with a full stop, for help, reference and editors.
        optional: the key may be missing from a config, as in those of runs of earlier versions. All
            other keys are in every composed config; a missing one is refused.
        is_group: the default is an option of a config group; a missing group is None.
        alias: the key, if it cannot be the name of an attribute.
        shown: text of the default in help and reference, if it is computed.
        constraints: ranges, as in `pydantic.Field`.
    """
    extra = {"default": default} | ({"shown": shown} if shown else {})
    required = ... if not optional else None if is_group else default
    return Field(
        required, alias=alias, description=description, json_schema_extra=extra, **constraints
    )


def argument(description: str, **constraints: Any) -> Any:
    """Returns the field of an argument whose default depends on the chosen option of the group."""
    return Field(description=description, **constraints)


class Place(Section):
    """The place of the data set of a run, for commands that read it."""

    root: str | None = setting(
        None, "Place of the data set; null is as in the run, or below data_root.", optional=True
    )
