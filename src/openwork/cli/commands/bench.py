"""openwork bench"""

from dataclasses import asdict
from functools import partial
from math import gcd
from pathlib import Path

import click

from openwork.cli.options import PATH, json_option, threads_option
from openwork.cli.output import note, print_json, print_line, print_table, stages

# Above this coefficient of variation something else uses the machine, and the figures say little.
UNSTEADY = 0.1


@click.command()
@click.argument("directory", metavar="DIR", type=PATH)
@threads_option
@click.option("--runs", type=click.IntRange(1), default=100, show_default=True, help="Measured inferences.")
@json_option
def command(directory: Path, threads: int | None, runs: int, as_json: bool) -> None:
    """Measure the latency of an artifact on its own test inputs.

    Prints mean, median, the 90th, 95th and 99th percentile, and the coefficient of variation (standard
    deviation / mean), with a warning when it is high. `python -m bench.cpu` measures peers beside it.

    \b
    Example:
      openwork bench deploy --threads 2 --runs 1000
    """
    from openwork.deploy import InferenceSession, measure, processor
    from openwork.deploy.tensors import read_tensor
    from openwork.report import seconds_text

    with InferenceSession(directory, threads=threads) as session, stages() as tell:
        artifact = session.artifact
        inputs = {tensor.name: read_tensor(directory, tensor) for tensor in artifact.inputs}
        rounds = gcd(runs, 10)
        latency = measure(
            {"openwork": lambda: session.run(None, inputs)},
            rounds=rounds,
            runs=runs // rounds,
            progress=partial(tell, "measuring"),
        )["openwork"]
        used = artifact.threads if threads is None else threads
        isa = session.isa
    if latency.cv > UNSTEADY:
        note(f"warning: latency varies by {latency.cv:.0%}; stop what else uses the machine and measure again")
    if as_json:
        print_json(
            {
                "artifact": str(directory),
                "processor": processor(),
                "isa": isa,
                "threads": used,
                **asdict(latency),
            }
        )
        return
    print_table(
        ("artifact", "isa", "threads", "runs", "mean", "median", "p90", "p95", "p99", "cv"),
        [
            (
                str(directory),
                isa,
                str(used),
                str(latency.runs),
                *map(seconds_text, (latency.mean, latency.median, latency.p90, latency.p95, latency.p99)),
                f"{latency.cv:.1%}",
            )
        ],
        left=2,
    )
    print_line(f"on {processor()}")
