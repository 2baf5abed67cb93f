"""openwork verify"""

from pathlib import Path

import click

from openwork.cli.options import PATH, json_option, threads_option
from openwork.cli.output import print_json, print_line, stages


@click.command()
@click.argument("directory", metavar="DIR", type=PATH)
@threads_option
@json_option
def command(directory: Path, threads: int | None, as_json: bool) -> None:
    """Repeat the proof of an artifact from its files alone.

    Checks every file against the manifest, runs the stored test inputs and holds the results against the
    stored references; where there are sums of floats, the result of each step by itself too. It does so on each
    instruction set that this machine has, or the one that OPENWORK_ISA names, and prints the worst. Exit status 1 if
    a result is outside its tolerance.

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
        steps = {"steps": verification.steps, "wrong_step": verification.wrong_step}
        result = {"artifact": str(directory), "passed": verification.passed, "proved": list(verification.proved)}
        print_json({**result, "outputs": outputs, **steps})
    else:
        print_differences(verification.outputs)
        print_line(f"proved on {', '.join(verification.proved)}")
        if verification.steps:
            print_line(
                f"{verification.steps} steps, each by itself: {'FAILED' if verification.wrong_step else 'PASSED'}"
            )
    if verification.wrong_step is not None:
        step = verification.wrong_step
        raise VerificationError(f"{directory}: step {step!r} gives something else; compile the model again")
    failed = [difference.name for difference in verification.outputs if not difference.passed]
    if failed:
        raise VerificationError(f"{directory}: {', '.join(failed)} outside the tolerance; compile the model again")
