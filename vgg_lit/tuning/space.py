"""What a search varies: settings and their ranges, in the syntax of Hydra's sweeps.

space = SearchSpace({"optimizer.lr": "tag(log, interval(1e-3, 1))", "model": "vgg11_bn,vgg13_bn"})
params = space.suggest(study.ask())      # {"optimizer.lr": 0.0312, "model": "vgg13_bn"}
space.overrides(params)                  # ["optimizer.lr=0.0312", "model=vgg13_bn"]

a,b or choice(a, b)           one of these; of a whole group (model) or of a setting (data.batch_size)
glob(vgg1*)                   one of a group's options with such a name
range(1, 10, step=2)          1, 3, 5, 7 or 9
interval(0, 1)                any number between
int(interval(1, 100))         any whole one
tag(log, interval(1e-4, 1))   as likely between 1e-4 and 1e-3 as between 0.1 and 1
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from vgg_lit.config.differences import flattened
from vgg_lit.errors import ConfigError, InputError, one_line

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

LOG = "log"

KINDS = "a,b, choice(...), range(...), interval(...) or tag(log, interval(...))"

NOT_SEARCHED = ("hydra", "name", "resume", "objective", "test", "trusted_targets")
"""Settings of a command rather than of a training."""

CALL = re.compile(
    r"(space\.)?(?P<key>[^=\s]+)=(?P<text>\s*(choice|range|interval|tag|glob|int|float|sort|shuffle)\(.*)"
)
"""What is meant as a range, even if it is none."""

Value = str | int | float


class SearchSpace:
    """The settings that trials differ in.

    Args:
        entries: Hydra's sweep syntax by key; keys may be nested or dotted.
        config_loader: knows the options of groups, which `glob` needs.

    Attributes:
        entries: one a setting, by its dotted key.
        distributions: as Optuna knows them, by the same keys.

    Raises:
        ConfigError: an entry is no search, or has nothing in it.
    """

    def __init__(
        self, entries: Mapping[str, Any], config_loader: ConfigLoader | None = None
    ) -> None:
        self.entries = dict(flattened(entries))
        if not self.entries:
            raise ConfigError(
                "space: has no setting to search; choose one with space=..., or type a range such as "
                "'optimizer.lr=tag(log, interval(1e-3, 1))'"
            )
        parser = OverridesParser.create(config_loader)
        self.distributions: dict[str, BaseDistribution] = {
            key: _distribution(key, text, parser) for key, text in self.entries.items()
        }

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """What is typed to train with such values."""
        return [f"{key}={params[key]}" for key in self.distributions]

    def suggest(self, trial: "Trial") -> dict[str, Value]:
        """The values of a trial: those it has already, the others drawn."""
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
        """Has every choice and both ends of every range checked, the other settings at their first.

        Args:
            check_overrides: raises InputError for overrides that no training accepts.

        Raises:
            ConfigError: some are refused; names the setting.
        """
        firsts = {key: _ends(found)[0] for key, found in self.distributions.items()}
        is_checked = False
        for key, found in self.distributions.items():
            for value in _ends(found)[is_checked:]:
                try:
                    check_overrides(self.overrides({**firsts, key: value}))
                except InputError as error:
                    raise ConfigError(f"space.{key}={self.entries[key]}: {error}") from error
            is_checked = True

    def grid(self) -> dict[str, list[Value]]:
        """All values of each setting.

        Raises:
            ConfigError: one is an interval, which has no end of them.
        """
        return {
            key: _values(found, f"space.{key}={self.entries[key]}")
            for key, found in self.distributions.items()
        }


def split_sweeps(overrides: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What was typed as a range of values, by key, and what was typed as one value.

    What cannot be read and looks like no range is left to Hydra to refuse.
    """
    parser = OverridesParser.create()
    sweeps, others = {}, []
    for override in overrides:
        try:
            parsed = parser.parse_override(override)
        except HydraException:
            if call := CALL.fullmatch(override):
                sweeps[call["key"]] = call["text"]  # to be refused as a range
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
        raise ConfigError(f"{where}: is nothing to search in; allowed: {KINDS}")
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
        raise ConfigError(f"{where}: is one value, nothing to search in; allowed: {KINDS}")
    tags: set[str] = getattr(sweep, "tags", set())
    if unknown := tags - {LOG}:
        raise ConfigError(f"{where}: unknown tag {', '.join(sorted(unknown))}; allowed: {LOG}")
    if isinstance(sweep, IntervalSweep):
        return _from_interval(sweep, where)
    if isinstance(sweep, RangeSweep):
        return _from_range(sweep, where)
    if tags:
        raise ConfigError(f"{where}: {LOG} is for an interval or a range, not for choices")
    if isinstance(sweep, ChoiceSweep):
        sweep.shuffle = False  # a study knows choices by their places
    choices = list(dict.fromkeys(override.sweep_string_iterator()))
    if not choices:
        raise ConfigError(f"{where}: there is no such option in {override.key_or_group}")
    return CategoricalDistribution(choices)


def _from_interval(sweep: IntervalSweep, where: str) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high, is_log = sweep.start, sweep.end, LOG in sweep.tags
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{where}: an interval has two finite ends")
    if low > high:
        raise ConfigError(f"{where}: begins above its end")
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
        raise ConfigError(f"{where}: has no value in it")
    low, high = sorted((start, start + (count - 1) * step))
    is_log = LOG in sweep.tags
    _check_log(is_log, float(low), where)
    if is_log and abs(step) != 1:
        raise ConfigError(f"{where}: a range by {LOG} has step=1; or take interval(...)")
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), step=int(abs(step)), log=is_log)
    if is_log:
        raise ConfigError(f"{where}: a range by {LOG} is of whole numbers; or take interval(...)")
    return FloatDistribution(float(low), float(high), step=float(abs(step)))


def _check_log(is_log: bool, low: float, where: str) -> None:
    if is_log and low <= 0:
        raise ConfigError(f"{where}: begins at {low:g}, and a logarithm needs more than 0")


def _ends(found: "BaseDistribution") -> list[Value]:
    """Every choice, or both ends of a range."""
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
    """Splits a command line into settings typed as ranges, and the other arguments.

    With typed ranges and no chosen space, only these ranges are searched.
    """
    parsed = get_args_parser().parse_args(list(arguments))
    sweeps, values = split_sweeps(parsed.overrides)
    others = [word for word in arguments if word not in parsed.overrides or word in values]
    if sweeps and not any(value.startswith("space=") for value in values):
        # where a range stood: flags stay on their side
        others.insert(min(map(list(arguments).index, set(arguments) - set(others))), "space=none")
    return sweeps, others
