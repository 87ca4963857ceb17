"""Reads small files, which may be damaged, or come from an untrusted source.

    read_json(run / "metrics.json", dict[str, int | float])
    read_yaml(run / "config.yaml")

Each reader limits the size of the file, the number of its values and their depth. A file that cannot be
used is an `InputError` with its path.
"""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from vgg_lit.errors import InputError, one_line

LARGEST = 2**22
"""Limit on the bytes of a file, unless its reader has another one."""

MOST_VALUES = 100_000
"""Limit on the values of a YAML file or a checkpoint; a value counts once for each place that holds it."""

BYTES_OF_A_VALUE = 16
"""Bytes of a value in a JSON file, at least on average; limits the number of values of a large file."""

MOST_ERRORS = 100
"""Limit on the values of a wrong type that are described; pydantic needs a kilobyte for each."""

DEEPEST = 50
"""Limit on the depth of nested values."""

LARGEST_INTEGER = 2**63 - 1


def read_small(path: Path, largest: int = LARGEST) -> bytes | None:
    """Returns the content of a file; None if there is no such file.

    Raises:
        InputError: it is not a regular file, cannot be read, or has more bytes than `largest`.
    """
    try:
        if not path.is_file():  # opening a pipe would block
            if path.exists():
                raise InputError(f"{path}: is not a file")
            return None
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > largest:
        raise InputError(f"{path}: is larger than {largest / 2**20:g} MiB, the limit for this file")
    return content


def read_small_text(path: Path, largest: int = LARGEST) -> str | None:
    """Returns the content of a UTF-8 file; None if there is no such file.

    Raises:
        InputError: as for `read_small`; it is not UTF-8.
    """
    content = read_small(path, largest)
    try:
        return None if content is None else content.decode()
    except ValueError as error:
        raise InputError(f"{path}: cannot be read: it is not UTF-8") from error


def read_json(path: Path, schema: Any = dict[str, Any], largest: int = LARGEST) -> Any:
    """Returns the value of a JSON file; an empty mapping if there is no such file.

    Args:
        path: the file.
        schema: type of the value.
        largest: limit on the bytes of the file.

    Raises:
        InputError: as for `read_small`; it is not JSON, or of another type.
    """
    content = read_small(path, largest)
    try:
        most = max(MOST_VALUES, largest // BYTES_OF_A_VALUE)
        return {} if content is None else parse_json(content, schema, most)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from error


def parse_json(content: str | bytes, schema: Any = dict[str, Any], most: int = MOST_VALUES) -> Any:
    """Returns the value of a JSON text.

    Args:
        content: the text.
        schema: type of the value.
        most: limit on the number of values.

    Raises:
        ValueError: it is not JSON, or of another type; it has too many values, is nested too deeply, or has
            an integer of more than 64 bits.
    """
    text = _without_surrogates(content)
    try:
        check_nesting(TypeAdapter(Any).validate_json(text), most)  # before types need memory
        return TypeAdapter(schema).validate_json(text, strict=True)
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            raise ValueError(f"{error.error_count():,} values are of another type") from None
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:200]
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def _without_surrogates(content: str | bytes) -> str | bytes:
    """Replaces halves of characters, which Python writes for names that are not UTF-8, by `?`."""
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    if "\\ud" not in text:
        return content
    try:
        return json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):  # reported by the parser that checks the type
        return content


def read_yaml(path: Path) -> dict[str, Any]:
    """Returns the mapping of a YAML file of settings, with the numbers that OmegaConf reads.

    Raises:
        InputError: as for `read_small`; there is no such file, or it is not a mapping of plain values.
    """
    text = read_small_text(path)
    if text is None:
        raise InputError(f"{path}: cannot be read: there is no such file")
    try:
        _check_events(text)
        content = yaml.load(text, Loader=_Loader)  # a safe loader
        check_nesting(content)
        _check_plain(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not valid YAML: {one_line(error)[:300]}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # of PyYAML, for a value that does not fit its tag, such as `!!bool x` and `!!int ''`
        raise InputError(
            f"{path}: is not valid YAML: a value is not of the type of its tag"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not a mapping of settings")
    return content


def check_nesting(content: Any, most: int = MOST_VALUES, deepest: int = DEEPEST) -> None:
    """Checks that nested values can be copied, compared and printed in reasonable time and memory.

    A list that is held in two places counts twice: nine levels of nine references are 387 million values.

    Raises:
        ValueError: there are too many values, they are nested too deeply or in a circle, or an integer has
            more than 64 bits.
    """
    level, count, depth = [content], 0, 0
    while level:
        count += len(level)
        if count > most:
            raise ValueError(f"it holds more than {most:,} values")
        integers = [value for value in level if isinstance(value, int)]
        if integers and not -LARGEST_INTEGER <= min(integers) <= max(integers) <= LARGEST_INTEGER:
            raise ValueError("it holds an integer of more than 64 bits")
        inner = [v for v in level if type(v) not in _LEAVES and isinstance(v, _CONTAINERS)]
        if inner and depth == deepest:
            raise ValueError(f"its values are nested more than {deepest} levels deep")
        # One more value than allowed is enough, because shared values are at exponentially many places.
        level = list(islice(chain.from_iterable(map(_parts, inner)), most - count + 1))
        depth += 1


_LEAVES = (str, int, float, bool, type(None))
_CONTAINERS = (dict, list, tuple, set, frozenset, Mapping)


def _parts(value: Any) -> Iterable[Any]:
    return chain(value.keys(), value.values()) if isinstance(value, Mapping) else value


def _check_plain(content: Any) -> None:
    """Raises ValueError for values that JSON does not have, such as sets, bytes and dates."""
    if isinstance(content, dict):
        if not all(isinstance(key, str | int | float) for key in content):
            raise ValueError("a key is not text or a number")
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            _check_plain(value)
    elif not isinstance(content, str | int | float | None):
        raise ValueError(f"{type(content).__name__}: not a plain value")


def _check_events(text: str) -> None:
    """Checks the number and depth of the values of a YAML text, before memory is allocated for them.

    Raises:
        ValueError: there are too many, they are nested too deeply, or an alias is inside its anchor.
    """
    sizes: dict[str, tuple[int, int]] = {}  # number of values and height, by anchor
    stack = [(0, 0, "")]
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((1, 0, event.anchor or ""))
            size, height = 0, 0
        elif isinstance(event, yaml.CollectionEndEvent):
            size, height, anchor = stack.pop()
            sizes[anchor] = size, height = size, height + 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"the alias *{event.anchor} is inside of its anchor, or has none")
            size, height = sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size, height = 1, 0
            sizes[event.anchor or ""] = size, height
        else:
            continue
        total, tallest, anchor = stack[-1]
        stack[-1] = (total + size, max(tallest, height), anchor)
        if total + size > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values")
        if len(stack) + height > DEEPEST:
            raise ValueError(f"its values are nested more than {DEEPEST} levels deep")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that reads `1e-3` as a number and dates as text, and refuses repeated keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Builds a mapping."""
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    raise yaml.YAMLError(f"the key {key.value} is given twice")
                names.add(key.value)
        return super().construct_mapping(node, deep)


_FLOAT = "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in (_FLOAT, "tag:yaml.org,2002:timestamp")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$"
    ),
    list("-+.0123456789"),
)
