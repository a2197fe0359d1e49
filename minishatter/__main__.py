"""The command line: what this is and how to read it, and `probe`, a diagnosis of a net."""

import argparse
import inspect
import json
import sys
from pathlib import Path

import numpy as np

import minishatter
from minishatter import arguments, gradients, nets, probe

BUILDERS = {"feedforward": nets.feedforward, "resnet": nets.resnet, "highway": nets.highway}
NORMS = ("none", "center", "batch")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message):
        """Say what is wrong on one line, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def reading_order():
    """One line per file: its name, its number of lines, its first sentence."""
    folder = Path(minishatter.__file__).parent
    for name in minishatter.READING_ORDER:
        file = f"{name.replace('.', '/')}.py"
        text = (folder / file).read_text(encoding="utf-8")
        sentence = text.partition('"""')[2].partition("\n")[0].removesuffix('"""')
        yield f"  {file:<22}{len(text.splitlines()):>5}  {sentence}"


def introduction():
    """What this is, the reading order with line counts, and where to go next."""
    return ("The Shattered Gradients Problem (Balduzzi et al., ICML 2017) as an executable edition:\n"
            "NumPy, with numba for speed, every forward and backward pass written by hand.\n\n"
            "Reading order, with line counts:\n" + "\n".join(reading_order()) + "\n\n"
            "Next: python -m tutorials --list    what the tutorials show\n"
            "      python -m tutorials 01        one layer by hand\n"
            "      python -m tutorials           every figure and figures/REPLICATION.md\n"
            "      minishatter probe --help      does my net shatter?\n"
            "(the tutorials need a checkout of the repository; they are not installed)")


def command_line():
    """The parser of `minishatter`. Options of a builder have no default here, so that the builder's own holds."""
    parser = Parser(prog="minishatter", epilog="Without a command: what this is and where to start reading.",
                    description="The Shattered Gradients Problem (Balduzzi et al., ICML 2017), executable.")
    parser.add_argument("--version", action="version", version=f"minishatter {minishatter.__version__}")
    commands = parser.add_subparsers(dest="command", parser_class=Parser)
    command = commands.add_parser("probe", help="does this net shatter?",
                                  description=probe.__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--kind", choices=BUILDERS, default="feedforward")
    command.add_argument("--depth", type=int, required=True, help="hidden rectifier layers")
    for name, kind in (("width", int), ("alpha", float), ("beta", float), ("gamma2", float), ("bias-std", float),
                       ("hidden-bias-std", float)):
        command.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS)
    command.add_argument("--norm", choices=NORMS, default=argparse.SUPPRESS)
    command.add_argument("--activation", choices=nets.ACTIVATIONS, default=argparse.SUPPRESS)
    command.add_argument("--init", choices=nets.INITS, default=argparse.SUPPRESS)
    command.add_argument("--statistics", choices=gradients.STATISTICS, default="held")
    command.add_argument("--points", type=int, default=256, help="grid points on [-2, 2]")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--figure", default="probe.png", help="where to save the picture (default: probe.png)")
    command.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    return parser


def build_net(options, rng):
    """The net that the options describe; raises ValueError if its builder does not know one of them."""
    builder = BUILDERS[options["kind"]]
    known = inspect.signature(builder).parameters
    ours = {"command", "kind", "statistics", "points", "seed", "figure", "json"}
    given = {name: value for name, value in options.items() if name not in ours}
    for name in given:
        if name not in known:
            raise ValueError(f"--{name.replace('_', '-')} does not go with --kind {options['kind']}")
    if options["kind"] == "highway" and "gamma2" not in given:
        raise ValueError("--kind highway needs --gamma2")
    if given.get("norm") == "none":
        given["norm"] = None
    return builder(**given, rng=rng)


def run_probe(options):
    """Build, measure and draw one net; returns the Diagnosis."""
    net = build_net(options, np.random.default_rng(arguments.integer("seed", options["seed"], least=0)))
    x, statistics = gradients.grid(options["points"]), options["statistics"]
    diagnosis = probe.diagnose(net, x, statistics)
    probe.picture(x, gradients.input_gradient(net, x, statistics), diagnosis.condition, options["figure"])
    return diagnosis


def main(argv=None):
    """The command line: `minishatter` and `python -m minishatter`."""
    parser = command_line()
    options = vars(parser.parse_args(argv))
    if options["command"] is None:
        print(introduction())
        return 0
    try:
        diagnosis = run_probe(options)
    except (ValueError, TypeError, OSError) as error:
        parser.exit(2, f"minishatter probe: error: {' '.join(str(error).split())}\n")
    if options["json"]:
        print(json.dumps(diagnosis.plain() | {"figure": options["figure"]}, indent=2, allow_nan=False))
    else:
        print(diagnosis, f"{'figure':<24}{options['figure']}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
