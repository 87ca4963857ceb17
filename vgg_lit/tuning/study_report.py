"""Reports of a study: tables, figures, a page, and the best trial as an experiment config."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from rich.table import Table

from vgg_lit.config.schema import Tune
from vgg_lit.system.files import write_text
from vgg_lit.system.markdown import markdown_text
from vgg_lit.system.operating_system import quoted
from vgg_lit.system.terminal import visible
from vgg_lit.table_widths import fit_rows
from vgg_lit.tables import (
    format_metric,
    is_higher_better,
    markdown_table,
    print_facts,
    print_rows,
    text_table,
    to_csv,
)
from vgg_lit.tuning.studies import StudyDirectory, epochs_of
from vgg_lit.tuning.study_page import study_page

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STATES = {
    "COMPLETE": "done",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}
"""Displayed statuses by state of Optuna."""

MOST_ROWS = 15
"""Number of rows in the table that is shown while trials run."""


def live_table(trials: Sequence["FrozenTrial"], settings: Tune, n_trials: int, width: int) -> Table:
    """Returns a table of the last trials, at most `width` wide; its title counts the finished ones."""
    best = best_trial(trials, settings.objective)
    ended = sum(trial.state.is_finished() for trial in trials)
    title = f"{ended} of {n_trials} trials finished"
    if best:
        title += f"; best: trial {best.number}"
    last = trials[-MOST_ROWS:]
    rows = [{name: visible(text) for name, text in row.items()} for row in _rows(last, settings)]
    if not rows:
        return Table(title=title, title_justify="left")
    table = text_table(fit_rows(rows, width)[0])
    table.title, table.title_justify = title, "left"
    for trial, line in zip(last, table.rows, strict=True):
        line.style = "bold" if trial is best else None
    return table


def best_trial(trials: Sequence["FrozenTrial"], objective: str) -> "FrozenTrial | None":
    """Returns the best completed trial, of equal ones the first; None if no trial is completed."""
    done = [trial for trial in trials if STATES[trial.state.name] == "done"]
    sign = -1 if is_higher_better(objective) else 1
    return min(done, key=lambda trial: sign * (trial.value or 0.0), default=None)


def report(
    directory: StudyDirectory,
    settings: Tune,
    shared: Sequence[str],
    groups: Collection[str],
    flags: Sequence[str],
) -> None:
    """Prints the table and the next commands; writes tables, figures, a page and the best trial's experiment.

    Args:
        directory: directory of the study.
        settings: settings of the command.
        shared: overrides of all trials.
        groups: names of the groups that an experiment can override.
        flags: flags that select other configs, for trainings.
    """
    study = directory.open(settings.pruner)
    trials = study.get_trials(deepcopy=False)
    rows = _rows(trials, settings)
    print_rows(rows, f"study {directory.path}")
    write_text(directory.path / "trials.csv", _to_csv(trials, settings))
    title = f"# Study {markdown_text(f'{directory.path}: {settings.objective}')}"
    write_text(directory.path / "trials.md", f"{title}\n\n{markdown_table(rows)}")
    written = ["trials.csv", "trials.md"]
    figures = []
    facts = {"epochs": _saved_epochs(trials, settings)}
    if best := best_trial(trials, settings.objective):
        figures = _draw(directory.path, study, trials, settings)
        command = _write_experiment(directory, best, settings, shared, groups, flags)
        written += [*figures, "experiment/best.yaml"]
        text = format_metric(settings.objective, best.value or 0.0)
        facts["best"] = f"trial {best.number}, {settings.objective} {text}: " + str(
            directory.trial(best.number)
        )
        facts["train"] = command
    page = study_page(directory.path, facts, figures, rows, _reasons(trials))
    write_text(directory.path / "study.html", page)
    written.append("study.html")
    facts["written"] = f"{directory.path}: {', '.join(written)}"
    facts["dashboard"] = f"optuna-dashboard {directory.url}"
    print_facts(facts)


def _rows(trials: Sequence["FrozenTrial"], settings: Tune) -> list[dict[str, str]]:
    """Returns the rows of a table; a trial that another driver is starting may lack parameters."""
    names = _param_names(trials)
    return [_row(trial, settings, names) for trial in trials]


def _param_names(trials: Sequence["FrozenTrial"]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def _row(trial: "FrozenTrial", settings: Tune, names: Sequence[str]) -> dict[str, str]:
    value = trial.value
    if value is None and trial.intermediate_values:
        value = trial.intermediate_values[epochs_of(trial)]
    seconds = trial.user_attrs.get("seconds")
    return {
        "trial": str(trial.number),
        settings.objective: "" if value is None else format_metric(settings.objective, value),
        **{
            name.removeprefix("+"): f"{value:.4g}" if isinstance(value, float) else str(value)
            for name, value in ((name, trial.params.get(name, "")) for name in names)
        },
        "status": STATES[trial.state.name],
        "epochs": f"{epochs_of(trial)}/{settings.trainer['max_epochs']}",
        "seconds": f"{seconds:.1f}" if isinstance(seconds, int | float) else "",
    }


def _to_csv(trials: Sequence["FrozenTrial"], settings: Tune) -> str:
    names = _param_names(trials)
    rows = [
        {
            "trial": trial.number,
            **{name: trial.params.get(name) for name in names},
            "status": STATES[trial.state.name],
            "epochs": epochs_of(trial),
            settings.objective: trial.value,
            "seconds": trial.user_attrs.get("seconds"),
            "reason": trial.user_attrs.get("reason"),
        }
        for trial in trials
    ]
    return to_csv(rows)


def _reasons(trials: Sequence["FrozenTrial"]) -> dict[int, str]:
    """Returns the recorded reasons of failed trials by their numbers."""
    reasons = {trial.number: trial.user_attrs.get("reason") for trial in trials}
    return {number: str(reason) for number, reason in reasons.items() if reason}


def _saved_epochs(trials: Sequence["FrozenTrial"], settings: Tune) -> str:
    """Formats the number of trained epochs and the share saved by pruning, without failed trials."""
    ended = [trial for trial in trials if STATES[trial.state.name] in ("done", "pruned")]
    trained = sum(map(epochs_of, ended))
    whole = len(ended) * settings.trainer["max_epochs"]
    pruned = sum(STATES[trial.state.name] == "pruned" for trial in ended)
    if not pruned:
        return f"{trained}, no trial was pruned"
    trials_text = "1 pruned trial" if pruned == 1 else f"{pruned} pruned trials"
    return f"{trained} of {whole}: {trials_text} saved {100 * (1 - trained / whole):.0f} %"


def _draw(path: Path, study: "Study", trials: Sequence["FrozenTrial"], settings: Tune) -> list[str]:
    """Writes the figures for which there are enough trials; returns their names."""
    import optuna

    from vgg_lit.analysis.study_charts import importance_chart, objective_chart
    from vgg_lit.analysis.style import save_figure

    known = [trial for trial in trials if trial.value is not None]
    figures = {
        "history.png": objective_chart(
            [trial.number for trial in known],
            [trial.value or 0.0 for trial in known],
            [STATES[trial.state.name] == "done" for trial in known],
            settings.objective,
            is_higher_better(settings.objective),
        )
    }
    try:
        importances = optuna.importance.get_param_importances(study)
    except (ValueError, RuntimeError):  # too few trials, or equal values
        importances = {}
    if importances:
        figures["importance.png"] = importance_chart(importances, settings.objective)
    for name, figure in figures.items():
        save_figure(figure, path / name)
    return list(figures)


def _write_experiment(
    directory: StudyDirectory,
    best: "FrozenTrial",
    settings: Tune,
    shared: Sequence[str],
    groups: Collection[str],
    flags: Sequence[str],
) -> str:
    """Writes `experiment/best.yaml`; returns the command that trains it."""
    values = [f"{name}={value}" for name, value in best.params.items()]
    defaults, content, others = as_experiment([*shared, *values], groups)
    place = ["--config-dir", str(directory.path)]
    if "--config-dir" in flags:  # Hydra accepts this flag once
        place = [*flags, f"hydra.searchpath=['{directory.path.resolve()}']"]
    command = quoted(["python", "-m", "vgg_lit.train", *place, "experiment=best", *others])
    text = format_metric(settings.objective, best.value or 0.0)
    head = (
        "# @package _global_\n"
        f"# Trial {best.number} of {directory.path}: {settings.objective} {text}\n"
        f"#   {command}\n"
    )
    body: dict[str, Any] = ({"defaults": defaults} if defaults else {}) | content
    write_text(
        directory.path / "experiment" / "best.yaml",
        head + OmegaConf.to_yaml(OmegaConf.create(body)),
    )
    return command


def as_experiment(
    overrides: Sequence[str], groups: Collection[str]
) -> tuple[list[Any], dict[str, Any], list[str]]:
    """Converts overrides to the content of an experiment's file.

    Args:
        overrides: overrides of a command line; the last one of a key wins.
        groups: names of the groups that the file can override.

    Returns:
        The file's defaults, its settings, and the overrides that a file cannot hold, such as deletions.
    """
    extended: list[Any] = []
    chosen: dict[str, Any] = {}
    settings = OmegaConf.create({})
    others = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key, value = override.key_or_group, override.value()
        is_group = key in groups
        if override.is_delete() or (is_group and override.is_add()):
            others.append(str(override.input_line))
        elif key == "experiment":
            names = value if isinstance(value, list) else [value]
            extended = [*names, "_self_"] if value else []
        elif is_group:
            chosen[f"override /{key}"] = value
        else:
            OmegaConf.update(settings, key, value, force_add=True)
    content = OmegaConf.to_container(settings)
    assert isinstance(content, dict)
    return (
        [*extended, *({name: option} for name, option in chosen.items())],
        {str(key): value for key, value in content.items()},
        others,
    )
