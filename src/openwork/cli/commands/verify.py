"""openwork verify"""

from pathlib import Path

import click

from openwork.cli.options import PATH, json_option, threads_option
from openwork.cli.output import print_json, stages


@click.command()
@click.argument("directory", metavar="DIR", type=PATH)
@threads_option
@json_option
def command(directory: Path, threads: int | None, as_json: bool) -> None:
    """Repeat the proof of an artifact from its files alone.

    Checks every file against the manifest, runs the stored test inputs and holds the results against the
    stored references. Exit status 1 if a result is outside its tolerance.

    \b
    Example:
      openwork verify deploy
    """
    from openwork.cli.differences import differences_json, print_differences
    from openwork.deploy import verify
    from openwork.errors import VerificationError

    with stages() as tell:
        tell("verifying")
        verification = verify(directory, threads=threads)
    if as_json:
        outputs = differences_json(verification.outputs)
        print_json({"artifact": str(directory), "passed": verification.passed, "outputs": outputs})
    else:
        print_differences(verification.outputs)
    failed = [difference.name for difference in verification.outputs if not difference.passed]
    if failed:
        raise VerificationError(f"{directory}: {', '.join(failed)} outside the tolerance; compile the model again")
