"""`python -m minishatter.coursework release OUT` and `... grade SUBMISSION`: what students get, and get for it."""

import sys

from . import door


def main(argv=None):
    """Run one command; 0 when it has done its work, whatever the grade; 2 when there is no grade to rely on."""
    from . import command  # only behind the door
    return command.main(argv)


if __name__ == "__main__":
    try:
        door.enter()
    except door.WrongDoor as error:
        print(f"nothing was done: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(main())
