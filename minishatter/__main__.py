"""`python -m minishatter`: what this is, the reading order with line counts, and where to go next."""

import argparse
import sys
from pathlib import Path

import minishatter


def reading_order():
    """One line per file: its name, its number of lines, its first sentence."""
    folder = Path(minishatter.__file__).parent
    for name in minishatter.READING_ORDER:
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        sentence = text.partition('"""')[2].partition("\n")[0].removesuffix('"""')
        yield f"  {name + '.py':<14}{len(text.splitlines()):>5}  {sentence}"


def main(argv=None):
    """The command line: `minishatter` and `python -m minishatter`."""
    parser = argparse.ArgumentParser(
        prog="minishatter", description="The Shattered Gradients Problem (Balduzzi et al., ICML 2017), executable.",
        epilog="Without options: what this is and where to start reading.")
    parser.add_argument("--version", action="version", version=f"minishatter {minishatter.__version__}")
    parser.parse_args(argv)
    print("The Shattered Gradients Problem (Balduzzi et al., ICML 2017) as an executable edition:\n"
          "NumPy only, every forward and backward pass written by hand.\n\n"
          "Reading order, with line counts:\n" + "\n".join(reading_order()) + "\n\n"
          "Next: python -m tutorials --list    what the tutorials show\n"
          "      python -m tutorials 01        one layer by hand\n"
          "      python -m tutorials           every figure and figures/REPLICATION.md\n"
          "(in a checkout of the repository; the tutorials are not installed)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
