"""The child's side: lock this process up, then call a student's function on the inputs that come, and send arrays.

Run as `python -I -S child.py NUMBER MEMORY SECONDS PACKAGES` in a folder that holds this file, jail.py,
wire.py, trials and the student's tree; PACKAGES is a folder with links to NumPy. Inputs come on
the standard input, outputs leave on the standard output. What the student's code prints goes nowhere.
Nothing the parent relies on happens here after the student's code is imported.
"""

import builtins
import os
import sys

CODE = "/minishatter/"  # of the frames of a traceback, those that are worth showing


def main(number, memory, seconds, packages):
    """Answer every message until the standard input ends."""
    inputs, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    sys.path[:0] = [".", packages]  # "." is looked up from here, whoever may pass the folders above
    import jail
    import wire
    places = [".", *(os.path.realpath(entry.path) for entry in os.scandir(packages))]
    off = jail.lock([*places, os.devnull], int(memory), int(seconds))
    os.dup2(nothing, 2)  # so far it told the parent what went wrong here
    _send(replies, wire.pack({"off": wire.text("\n".join(f"{name}: {why}" for name, why in off.items()))}))
    trial, failure = _trial(number)
    while head := inputs.read(wire.LENGTH.size):
        given = wire.unpack(inputs.read(wire.LENGTH.unpack(head)[0]))
        _send(replies, failure or answer(trial, given))


def _send(replies, data):
    replies.write(data)
    replies.flush()


def _trial(number):
    """The trial of a task, and None; or None, and why the student's tree cannot be imported."""
    try:
        import trials
        return trials.TRIALS[number], None
    except BaseException as error:
        return None, report(error)


def answer(trial, given):
    """What the student's function gives, as the bytes of plain arrays; or a report of how it failed."""
    import wire
    try:
        from trials.trial import plain
        return wire.pack(plain(trial.call(**given)))
    except BaseException as error:  # SystemExit too
        return report(error)


def report(error):
    """An exception as bytes: the type among Python's own that it is or extends, its message, the student's line."""
    import traceback

    import wire
    kind = next(kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if CODE in frame.filename]
    line = frames[-1].line if frames else ""
    try:
        message = str(error)
    except BaseException:
        message = ""
    return wire.pack({"!error": wire.text(kind), "!message": wire.text(message[:400]), "!line": wire.text(line[:120])})


if __name__ == "__main__":
    main(*sys.argv[1:])
