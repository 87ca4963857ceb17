"""Search spaces: settings and their ranges, in the syntax of Hydra's sweeps.

space = SearchSpace({"optimizer.lr": "tag(log, interval(1e-3, 1))", "model": "vgg11_bn,vgg13_bn"})
params = space.suggest(study.ask())      # {"optimizer.lr": 0.0312, "model": "vgg13_bn"}
space.overrides(params)                  # ["optimizer.lr=0.0312", "model=vgg13_bn"]

a,b or choice(a, b)           one of these options of a group (model) or values of a setting (data.batch_size)
glob(vgg1*)                   one of a group's options whose names match
range(1, 10, step=2)          1, 3, 5, 7 or 9
interval(0, 1)                a number from 0 to 1
int(interval(1, 100))         a whole number from 1 to 100
tag(log, interval(1e-4, 1))   log-uniform: 1e-4 to 1e-3 is as likely as 0.1 to 1
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from vgg_lit.config.command_line import parse_command_line
from vgg_lit.config.differences import flattened
from vgg_lit.errors import ConfigError, InputError, one_line

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

LOG = "log"

KINDS = "a,b, choice(...), range(...), interval(...) or tag(log, interval(...))"

RANGES_HINT = "; give your own ranges, such as 'optimizer.lr=tag(log, interval(1e-3, 1))': then only these are searched"
"""Ends the message for a setting of a space file that a config does not have."""

NOT_SEARCHED = ("hydra", "name", "resume", "objective", "test", "trusted_targets")
"""Settings of the command, not of a training."""

CALL = re.compile(
    r"(space\.)?(?P<key>[^=\s]+)=(?P<text>\s*(choice|range|interval|tag|glob|int|float|sort|shuffle)\(.*)"
)
"""Overrides that are meant as ranges, valid or not."""

Value = str | int | float


class SearchSpace:
    """The settings that vary between trials.

    Args:
        entries: Hydra's sweep syntax by key; keys may be nested or dotted.
        config_loader: loader of the options of groups, needed for `glob`.

    Attributes:
        entries: Hydra's sweep syntax by dotted key.
        distributions: Optuna's distributions by dotted key.

    Raises:
        ConfigError: an entry is not a range, or is empty.
    """

    def __init__(
        self, entries: Mapping[str, Any], config_loader: ConfigLoader | None = None
    ) -> None:
        self.entries = dict(flattened(entries))
        if not self.entries:
            raise ConfigError(
                "space: has no setting to search; set space=..., or give a range such as "
                "'optimizer.lr=tag(log, interval(1e-3, 1))'"
            )
        parser = OverridesParser.create(config_loader)
        self.distributions: dict[str, BaseDistribution] = {
            key: _distribution(key, text, parser) for key, text in self.entries.items()
        }

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """Returns the overrides for the values of a trial."""
        return [f"{key}={params[key]}" for key in self.distributions if key in params]

    def suggest(self, trial: "Trial") -> dict[str, Value]:
        """Returns the values of a trial; draws those that it does not have yet."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        params: dict[str, Any] = {}
        for key, found in self.distributions.items():
            if isinstance(found, CategoricalDistribution):
                params[key] = trial.suggest_categorical(key, found.choices)
            else:
                suggest = (
                    trial.suggest_int if isinstance(found, IntDistribution) else trial.suggest_float
                )
                params[key] = suggest(key, found.low, found.high, step=found.step, log=found.log)  # type: ignore[attr-defined]
        return params

    def check(self, check_overrides: Callable[[Sequence[str]], object]) -> None:
        """Checks every choice and both ends of every range, with the other settings at their first value.

        Args:
            check_overrides: function that raises InputError for invalid overrides.

        Raises:
            ConfigError: a value is invalid; the message names the setting.
        """
        firsts = {key: _ends(found)[0] for key, found in self.distributions.items()}
        is_checked = False
        for key, found in self.distributions.items():
            for value in _ends(found)[is_checked:]:
                try:
                    check_overrides(self.overrides({**firsts, key: value}))
                except InputError as error:
                    blamed = key if is_checked else self._invalid(firsts, check_overrides) or key
                    hint = RANGES_HINT if str(error).startswith("unknown key") else ""
                    message = f"space.{blamed}={self.entries[blamed]}: {error}{hint}"
                    raise ConfigError(message) from error
            is_checked = True

    def _invalid(
        self, firsts: Mapping[str, Value], check_overrides: Callable[[Sequence[str]], object]
    ) -> str | None:
        """Returns the setting without which the first values are valid; None if there is none."""
        for key in firsts:
            others = {other: value for other, value in firsts.items() if other != key}
            with suppress(InputError):
                check_overrides(self.overrides(others))
                return key
        return None

    def grid(self) -> dict[str, list[Value]]:
        """Returns all values of each setting.

        Raises:
            ConfigError: a setting is an interval, which has no finite set of values.
        """
        return {
            key: _values(found, f"space.{key}={self.entries[key]}")
            for key, found in self.distributions.items()
        }


def split_sweeps(overrides: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Splits overrides into ranges, by key, and single values.

    Invalid overrides count as single values, which Hydra refuses, unless they look like ranges.
    """
    parser = OverridesParser.create()
    sweeps, others = {}, []
    for override in overrides:
        try:
            parsed = parser.parse_override(override)
        except HydraException:
            if call := CALL.fullmatch(override):
                sweeps[call["key"]] = call["text"]  # refused later, as an invalid range
            else:
                others.append(override)
            continue
        if parsed.is_sweep_override():
            sweeps[parsed.get_key_element().removeprefix("space.")] = parsed.get_value_string()
        else:
            others.append(override)
    return sweeps, others


def _distribution(key: str, text: Any, parser: OverridesParser) -> "BaseDistribution":
    where = f"space.{key}={text}"
    if not isinstance(text, str):
        raise ConfigError(f"{where}: is not a range; allowed: {KINDS}")
    if key.lstrip("+").partition(".")[0].partition("/")[0] in NOT_SEARCHED or key[0] == "~":
        raise ConfigError(f"{where}: {key} cannot be searched")
    try:
        override = parser.parse_override(f"{key}={text}")
        override.config_loader = parser.config_loader
        return _from_override(override, where)
    except (HydraException, ValueError, TypeError, ArithmeticError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{where}: {one_line(error)}") from error


def _from_override(override: Override, where: str) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution

    sweep = override.value()
    if not override.is_sweep_override():
        raise ConfigError(f"{where}: is one value, not a range; allowed: {KINDS}")
    tags: set[str] = getattr(sweep, "tags", set())
    if unknown := tags - {LOG}:
        raise ConfigError(f"{where}: unknown tag {', '.join(sorted(unknown))}; allowed: {LOG}")
    if isinstance(sweep, IntervalSweep):
        return _from_interval(sweep, where)
    if isinstance(sweep, RangeSweep):
        return _from_range(sweep, where)
    if tags:
        raise ConfigError(
            f"{where}: tag {LOG} is not for choices; allowed: interval(...), range(...)"
        )
    if isinstance(sweep, ChoiceSweep):
        sweep.shuffle = False  # a study identifies choices by their index
    choices = list(dict.fromkeys(override.sweep_string_iterator()))
    if not choices:
        raise ConfigError(f"{where}: no option of {override.key_or_group} matches")
    return CategoricalDistribution(choices)


def _from_interval(sweep: IntervalSweep, where: str) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high, is_log = sweep.start, sweep.end, LOG in sweep.tags
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{where}: an interval needs two finite ends")
    if low > high:
        raise ConfigError(f"{where}: the start is greater than the end")
    _check_log(is_log, low, where)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _from_range(sweep: RangeSweep, where: str) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    numbers = (sweep.start, sweep.stop, sweep.step)
    start, stop, step = (Decimal(str(number)) for number in numbers)
    count = math.ceil((stop - start) / step) if step else 0
    if count < 1:
        raise ConfigError(f"{where}: is empty")
    low, high = sorted((start, start + (count - 1) * step))
    is_log = LOG in sweep.tags
    _check_log(is_log, float(low), where)
    if is_log and abs(step) != 1:
        raise ConfigError(f"{where}: a range with tag {LOG} needs step=1; or use interval(...)")
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), step=int(abs(step)), log=is_log)
    if is_log:
        raise ConfigError(
            f"{where}: a range with tag {LOG} needs whole numbers; or use interval(...)"
        )
    return FloatDistribution(float(low), float(high), step=float(abs(step)))


def _check_log(is_log: bool, low: float, where: str) -> None:
    if is_log and low <= 0:
        raise ConfigError(f"{where}: starts at {low:g}; with tag {LOG}, allowed: above 0")


def _ends(found: "BaseDistribution") -> list[Value]:
    """Returns every choice, or both ends of a range."""
    from optuna.distributions import CategoricalDistribution

    if isinstance(found, CategoricalDistribution):
        return list(found.choices)  # type: ignore[arg-type]
    return list(dict.fromkeys([found.low, found.high]))  # type: ignore[attr-defined]


def _values(found: "BaseDistribution", where: str) -> list[Value]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(found, CategoricalDistribution):
        return list(found.choices)  # type: ignore[arg-type]
    assert isinstance(found, FloatDistribution | IntDistribution)
    if isinstance(found, FloatDistribution) and found.step is None:
        raise ConfigError(f"{where}: an interval has no grid; allowed: choices and ranges")
    step = found.step or 1
    count = round((found.high - found.low) / step) + 1
    if isinstance(found, IntDistribution):
        return [found.low + int(step) * i for i in range(count)]
    return [float(Decimal(str(found.low)) + i * Decimal(str(step))) for i in range(count)]


def split_arguments(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Splits a command line into settings given as ranges, and the other arguments.

    With ranges and no `space=...`, only these ranges are searched.
    """
    try:
        parsed = parse_command_line(arguments)
    except ValueError:  # Hydra reports it
        return {}, list(arguments)
    sweeps, values = split_sweeps(parsed.overrides)
    others = [word for word in arguments if word not in parsed.overrides or word in values]
    if sweeps and not any(value.startswith("space=") for value in values):
        # insert at the first range, so that overrides stay together between flags
        others.insert(min(map(list(arguments).index, set(arguments) - set(others))), "space=none")
    return sweeps, others
