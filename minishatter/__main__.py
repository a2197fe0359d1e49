"""The command line: what this is and how to read it; `probe`, a diagnosis of a net; `explore`, a net to play with."""

import argparse
import contextlib
import inspect
import json
import os
import sys
from pathlib import Path

import numpy as np

import minishatter
from minishatter import arguments, gradients, nets, probe, running

BUILDERS = {"feedforward": nets.feedforward, "resnet": nets.resnet, "highway": nets.highway}
NORMS = ("none", "center", "batch")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message):
        """Say what is wrong on one line, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


@contextlib.contextmanager
def until_nobody_reads():
    """Ends the program without a word when its reader has gone, as `head` has after some lines."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at the exit complains
        sys.exit(1)


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
            "      minishatter explore           a window with sliders, to play with a net\n"
            "(the tutorials need a checkout of the repository; they are not installed)")


def command_line():
    """The parser of `minishatter`. Options of a builder have no default here, so that the builder's own holds."""
    parser = Parser(prog="minishatter", epilog="Without a command: what this is and where to start reading.",
                    description="The Shattered Gradients Problem (Balduzzi et al., ICML 2017), executable.")
    parser.add_argument("--version", action="version", version=f"minishatter {minishatter.__version__}")
    commands = parser.add_subparsers(dest="command", parser_class=Parser)
    add_probe(commands)
    add_explore(commands)
    return parser


def add_probe(commands):
    """The options of `minishatter probe`."""
    command = commands.add_parser("probe", help="does this net shatter?",
                                  description=probe.__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--gradient", metavar="FILE", default=argparse.SUPPRESS,
                         help="a gradient of your own instead of a net: .npy or .csv, "
                         "(n,) or a row per net; of the options below only --step, --figure and --json go with it")
    command.add_argument("--step", type=float, default=argparse.SUPPRESS,
                         help="with --gradient: the distance of neighbouring inputs (default: 1)")
    command.add_argument("--kind", choices=BUILDERS, default=argparse.SUPPRESS, help="(default: feedforward)")
    command.add_argument("--depth", type=int, default=argparse.SUPPRESS, help="hidden rectifier layers (required)")
    for name, kind in (("width", int), ("alpha", float), ("beta", float), ("gamma2", float), ("bias-std", float),
                       ("hidden-bias-std", float)):
        command.add_argument(f"--{name}", type=kind, default=argparse.SUPPRESS)
    command.add_argument("--norm", choices=NORMS, default=argparse.SUPPRESS)
    command.add_argument("--activation", choices=nets.ACTIVATIONS, default=argparse.SUPPRESS)
    command.add_argument("--init", choices=nets.INITS, default=argparse.SUPPRESS)
    command.add_argument("--statistics", choices=gradients.STATISTICS, default=argparse.SUPPRESS,
                         help="(default: held)")
    command.add_argument("--points", type=int, default=argparse.SUPPRESS, help="grid points on [-2, 2] (default: 256)")
    command.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="(default: 0)")
    command.add_argument("--figure", default="probe.png",
                         help="where to save the picture: .png, .pdf or .svg (default: probe.png)")
    command.add_argument("--json", action="store_true", help="print the diagnosis as JSON")


def add_explore(commands):
    """The options of `minishatter explore`."""
    command = commands.add_parser("explore", help="a window with sliders, or a page that plays depth 1 to 50",
                                  description="Without --html: a window with sliders for a net and its gradient.")
    command.add_argument("--html", metavar="PAGE.html", help="write one page, which needs no network, that plays four "
                         "kinds of net side by side from 1 layer to --depth (a minute)")
    for name, what in (("depth", "the last depth (default: 50)"), ("width", "units of a layer (default: 200)"),
                       ("seed", "(default: 0)")):
        command.add_argument(f"--{name}", type=int, default=argparse.SUPPRESS, help=f"with --html: {what}")


def build_net(options, rng):
    """The net that the options describe; raises ValueError if its builder does not know one of them."""
    builder = BUILDERS[options["kind"]]
    known = inspect.signature(builder).parameters
    ours = {"kind", "statistics", "points", "seed"}
    given = {name: value for name, value in options.items() if name not in ours}
    for name in given:
        if name not in known:
            raise ValueError(f"--{name.replace('_', '-')} does not go with --kind {options['kind']}")
    for name in ("depth", *(["gamma2"] if options["kind"] == "highway" else [])):
        if name not in given:
            raise ValueError(f"--kind {options['kind']} needs --{name}")
    if given.get("norm") == "none":
        given["norm"] = None
    return builder(**given, rng=rng)


def run_probe(figure, options):
    """Build, measure and draw one net; returns the Diagnosis."""
    options = {"kind": "feedforward", "statistics": "held", "points": 256, "seed": 0} | options
    net = build_net(options, np.random.default_rng(arguments.integer("seed", options["seed"], least=0)))
    x, statistics = gradients.grid(options["points"]), options["statistics"]
    diagnosis = probe.diagnose(net, x, statistics)
    probe.picture(x, gradients.input_gradient(net, x, statistics), diagnosis.condition, figure)
    return diagnosis


def run_probe_of_file(figure, options):
    """Measure the gradients in a file, and draw the first; returns the Diagnosis."""
    file, step = options.pop("gradient"), options.pop("step", 1.0)
    if options:
        raise ValueError(f"--{next(iter(options)).replace('_', '-')} does not go with --gradient")
    g = probe.read_gradient(file)
    diagnosis, runs = probe.diagnose_gradient(g, step=step), np.atleast_2d(g)
    title = diagnosis.condition + (f", run 1 of {len(runs)}" if len(runs) > 1 else "")
    probe.picture(step * np.arange(g.shape[-1]), runs[0], title, figure)
    return diagnosis


@until_nobody_reads()
def main(argv=None):
    """The command line: `minishatter` and `python -m minishatter`."""
    parser = command_line()
    options = vars(parser.parse_args(argv))
    command = options.pop("command")
    if command is None:
        print(introduction())
        return 0
    try:
        said = {"probe": report_of_probe, "explore": run_explore}[command](options)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        parser.exit(2, f"minishatter {command}: error: {' '.join(str(error).split())}\n")
    print(said)
    return 0


def report_of_probe(options):
    """What `minishatter probe` prints."""
    from minishatter import plot  # here, since matplotlib takes half a second to load

    figure, as_json = options.pop("figure"), options.pop("json")
    plot.suffix(figure)  # an unknown format is refused before the work
    diagnosis = (run_probe_of_file if "gradient" in options else run_probe)(figure, options)
    if as_json:
        return json.dumps(diagnosis.plain() | {"figure": figure}, indent=2, allow_nan=False)
    return f"{diagnosis}\n{'figure':<24}{figure}"


def run_explore(options):
    """Open the window, or write the page; returns what to print."""
    path = options.pop("html")
    if path is None:
        from minishatter import explore  # here, as `film` below, since matplotlib takes half a second to load

        if options:
            raise ValueError(f"--{next(iter(options))} goes with --html only")
        explore.show()
        return "the window was closed"
    from minishatter import film

    film.write(path, options.pop("depth", 50), **options, progress=running.progress("depths"))
    return f"{path}: open it in a browser"


if __name__ == "__main__":
    sys.exit(main())
