"""The splits that names such as `Training`, `valid` or `seg_test` stand for."""

import re
from typing import NamedTuple

SPELLINGS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
}
"""The split of each spelling, in lower case."""

_NEUTRAL = ("set", "data", "dataset", "images", "image", "imgs", "img", "split", "folder", "files")
_NEUTRAL_ENDING = re.compile(rf"(?<=.)({'|'.join(sorted(_NEUTRAL, key=len, reverse=True))})$")


class SplitName(NamedTuple):
    """The reading of a name such as `seg_train`.

    Attributes:
        split: "train", "test" or "val".
        rest: the other words, without neutral ones such as "set"; the same in the names of one data
            set.
    """

    split: str
    rest: str


def read_split_name(name: str) -> SplitName | None:
    """Returns the split that a name stands for; None for other names."""
    words = [word for word in re.split(r"[\W\d_]+", name.casefold()) if word]
    words = [word if word in SPELLINGS else _NEUTRAL_ENDING.sub("", word) for word in words]
    found = [word for word in words if word in SPELLINGS]
    if len(found) != 1:
        return None
    rest = "_".join(word for word in words if word != found[0] and word not in _NEUTRAL)
    return SplitName(SPELLINGS[found[0]], rest)
