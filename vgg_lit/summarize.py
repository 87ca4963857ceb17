"""Shows parameters, multiply-adds and memory of a network by layer.

python -m vgg_lit.summarize model=vgg16_bn data=cifar10
python -m vgg_lit.summarize run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a output=cost.json
python -m vgg_lit.summarize model=all
"""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.schema import Summarize
from vgg_lit.errors import InputError
from vgg_lit.run_configs import read_network
from vgg_lit.run_selection import select_run
from vgg_lit.system.files import check_writable_file, write_text
from vgg_lit.tables import print_facts, print_rows
from vgg_lit.targets import trust

ALL = "all"
"""Value of `model` for the paper's configurations and the networks they are compared with."""

TABLE_FORMATS = (".json", ".csv", ".md")


def summarize(config: DictConfig) -> None:
    """Prints the costs of one network or of all the paper's, and writes them to a file on request.

    Raises:
        InputError: there is no such network or run, or the network does not accept the batch size.
    """
    hydra = HydraConfig.get()
    choice, typed = hydra.runtime.choices["model"], hydra.overrides.task
    settings = check_section(to_plain(config), Summarize)
    trust(settings.trusted_targets)
    output = Path(settings.output) if settings.output else None
    if output and output.suffix not in TABLE_FORMATS:
        raise InputError(f"output={output}: unknown format; allowed: {', '.join(TABLE_FORMATS)}")
    if output:
        check_writable_file(output, f"output={output}")
    model, data, precision = settings.model, settings.data, "auto"
    if settings.run is not None:
        _refuse(("model", "data"), typed, f"run={settings.run}")
        model, data, precision = read_network(select_run(settings.run))
    elif choice == ALL:
        _refuse(("data",), typed, f"model={ALL}")
    elif model is None:
        names = sorted(file.stem for file in (config_folder() / "model").glob("*.yaml"))
        raise InputError(
            f"model={choice}: there is no such config; allowed: {ALL}, {', '.join(names)}"
        )

    from vgg_lit.reports.costs import MACS, format_report, report_all, report_one
    from vgg_lit.system.hardware import resolve_precision

    precision, reason = resolve_precision(settings.precision or precision, "auto")
    batch_size = settings.batch_size or data["batch_size"]
    if model is None:
        report = report_all(batch_size, precision)
    else:
        report = report_one(model, data, batch_size, precision)
    print_facts({**report.facts, "precision": f"{precision} ({reason})", "MACs": MACS})
    for table in report.tables:
        print()
        print_rows(table.rows, table.title, table.ends)
    if output:
        write_text(output, format_report(report, output.suffix))
        print_facts({"written": str(output)})


def _refuse(groups: Sequence[str], typed: Sequence[str], where: str) -> None:
    """Refuses overrides of groups that another setting replaces.

    Raises:
        InputError: an override of these groups was given.
    """
    for override in typed:
        if override.lstrip("+~").replace("=", ".").partition(".")[0] in groups:
            raise InputError(f"{override}: cannot be combined with {where}")


def main() -> None:
    """Runs the console script `vgg-summarize`."""
    run_verb(summarize, "summarize")


if __name__ == "__main__":
    main()
