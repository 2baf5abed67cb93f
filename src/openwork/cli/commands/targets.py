"""openwork targets"""

from dataclasses import asdict

import click

from openwork.cli.options import json_option
from openwork.cli.output import print_json, print_table


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the chips that `openwork compile --target` knows.

    \b
    Example:
      openwork targets
    """
    from openwork.targets import load_target, target_names

    targets = [load_target(name) for name in target_names()]
    if as_json:
        print_json({"targets": [asdict(target) for target in targets]})
        return
    print_table(
        ("target", "instruction sets", "description"),
        [(target.name, ", ".join(target.instruction_sets), target.description) for target in targets],
        left=3,
    )
