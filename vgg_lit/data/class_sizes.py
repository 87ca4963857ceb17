"""A line on the classes of a data set: their names, and the numbers of their images."""

import unicodedata
from collections.abc import Mapping, Sequence

from vgg_lit.system.terminal import first_names

_NAMED = 10


def describe_classes(classes: Sequence[str], sizes: Mapping[str, Sequence[int]]) -> str:
    """Returns the first class names, the fewest and most images, and classes that are probably mistakes.

    Those are classes that lack images, and classes whose names differ only in case, spaces, underscores
    or the encoding of an accent.

    Args:
        classes: class names.
        sizes: number of images of each class by split.
    """
    totals = [sum(split) for split in zip(*sizes.values(), strict=True)]
    fewest, most = min(totals), max(totals)
    if fewest == most:
        counts = f"{most:,} images each"
    else:
        smallest, largest = classes[totals.index(fewest)], classes[totals.index(most)]
        counts = f"{fewest:,} ({smallest}) to {most:,} ({largest}) images"
    parts = [first_names(classes, _NAMED), counts]
    for split, name in (("train", "training"), ("test", "test")):
        lacking = [
            c
            for c, size in zip(classes, sizes.get(split, [1] * len(classes)), strict=True)
            if not size
        ]
        if lacking:
            parts.append(f"{len(lacking):,} without {name} images: {first_names(lacking, _NAMED)}")
    if pairs := _almost_equal(classes):
        parts.append(f"separate classes with almost the same name: {first_names(pairs, _NAMED)}")
    return "; ".join(parts)


def _almost_equal(names: Sequence[str]) -> list[str]:
    """Returns the groups of names that are almost the same, each as one text."""
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold().replace("_", " ")
        groups.setdefault(" ".join(plain.split()), []).append(name)
    return [" and ".join(group) for group in groups.values() if len(group) > 1]
