"""The child's side: a process that can be trusted, and that starts one locked-up process for each case of a task.

Run as `python -I -S child.py` in the folder that holds the student's tree. Requests and
reports are lines of JSON on the standard input and output. The first request says what
to prepare; each other one is answered by starting a worker, and ended by the next line:

    nursery     as privileged as the grader; knows neither seed nor inputs; runs no code of a submission
    keeper      left the namespaces and the user; waits, and ends as the worker ends
    guardian    process 1 of the new PID namespace: when it dies, so does all in it
    worker      locks itself up, proves it, imports the student's tree, answers one case

Without a PID namespace the keeper is the worker. A worker's inputs come from a file
that is gone when it starts, its messages go into a pipe of its own: the defences,
whether the tree could be imported, and the answer.
"""

import builtins
import importlib
import json
import os
import shutil
import signal
import sys
import time

CODE = "/minishatter/"  # of the frames of a traceback, those that are worth showing
PATIENCE = 5            # seconds in which killed processes must be gone
MOST_DESCRIPTORS = 4096 # the nursery has a dozen, and no more than 64 can be opened later


def main():
    """Prepare, then serve requests until the grader closes its end or dies; then leave nothing behind."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    setting = json.loads(requests.readline())
    sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.getcwd(), setting["packages"]]
    import jail
    jail.LIBC.prctl(jail.ADOPT_ORPHANS, 1, 0, 0, 0)
    setting |= _prepare(jail, setting)
    _say({"ready": True})
    try:
        _serve(setting, requests)
    except BrokenPipeError:
        pass  # the grader was killed
    finally:
        shutil.rmtree(setting["folder"], ignore_errors=True)


def _serve(setting, requests):
    for count, line in enumerate(requests):
        uid = setting["users"][count % len(setting["users"])]
        started = _start(setting, json.loads(line), uid)
        try:
            _say({"started": True})
        finally:
            status = _clear(started, uid, json.loads(requests.readline() or "{}"))
        _say({"status": status})


def _say(report):
    os.write(1, (json.dumps(report) + "\n").encode())


def _prepare(jail, setting):
    """What needs the grader's rights: modules are imported, folders opened, Landlock's rules made.

    A worker has no file of a private folder in sight; what the package imports is imported here.
    """
    for name in ("numpy", "proof", "traceback", "wire"):
        importlib.import_module(name)
    for name in setting["modules"]:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # not here; if the package needs it, the canary says so
    del sys.path[0]  # this folder is the grader's
    links = [entry.path for entry in os.scandir(setting["packages"])]
    places = [os.getcwd(), *map(os.path.realpath, links), os.devnull]
    folders = [*jail.standard_library(), os.getcwd(), *links]
    handles = {str(path): os.open(path, os.O_PATH) for path in folders if os.path.isdir(path)}
    inner = {path for path in handles for other in handles if path.startswith(other + os.sep)}
    for path in inner:
        os.close(handles.pop(path))
    return {"ruleset": jail.rules(places), "handles": handles, "nothing": os.open(os.devnull, os.O_RDWR)}


def _start(setting, request, uid):
    """Start the processes of one case; returns the id of the first, which leads their group."""
    given = os.open(request["given"], os.O_RDONLY)
    reply = os.open(request["reply"], os.O_WRONLY)
    pid = os.fork()
    if pid:
        os.close(given)
        os.close(reply)
        return pid
    try:
        os.setsid()
        _become_worker(setting, request, uid, given, reply)
    except BaseException as error:  # before any code of a submission
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)


def _become_worker(setting, request, uid, given, reply):
    import jail
    import proof
    same_user = 0 not in os.getresuid()
    jail.go_first()
    own = jail.leave(uid)
    if jail.NEW_PID in own:
        _descend(jail, setting["nothing"])
    jail.reach(setting["handles"])
    jail.set_limits(request["memory"], request["seconds"])
    jail.obey(setting["ruleset"])
    off = {"user": proof.user()}
    jail.ask_little()
    off |= {"files": proof.files(setting["reference"], setting["grader"], setting["writable"]),
            "processes": proof.processes(), "network": proof.network(same_user),
            "signals": proof.signals(setting["grader"], jail.NEW_PID in own),
            "traces": proof.traces(jail.NEW_IPC in own, same_user), "memory": proof.memory(request["memory"])}
    number = proof.own_number()
    _only({given, reply, *setting["handles"].values()}, setting["nothing"])
    work(request["number"], request["largest"], given, reply,
         {"off": {name: why for name, why in off.items() if why}, "number": number})


def _descend(jail, nothing):
    """Into the PID namespace: returns in the worker only. Keeper and guardian let go of the worker's pipes."""
    seen, tell = os.pipe()
    guardian = os.fork()
    if guardian:
        _only({seen}, nothing)
        status = os.read(seen, 4)
        os.waitpid(guardian, 0)
        end_as(int.from_bytes(status, "little") if status else signal.SIGKILL)
    jail.die_with_parent()
    worker = os.fork()
    if worker:
        _only({tell}, nothing)
        status = os.waitpid(worker, 0)[1]
        os.write(tell, status.to_bytes(4, "little"))
        os._exit(0)
    jail.die_with_parent()
    os.close(seen)
    os.close(tell)


def _only(kept, nothing):
    """Close every descriptor but these, and lead the three standard ones to `nothing`."""
    for stream in range(3):
        os.dup2(nothing, stream)
    low = 3
    for handle in [*sorted(kept), MOST_DESCRIPTORS]:
        os.closerange(low, handle)
        low = handle + 1


def end_as(status):
    """End this process as another has ended, whose wait status this is."""
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


# After a worker.


def _clear(pid, uid, end):
    """End a case: its processes, whatever they started, and what the kernel keeps for its user. Returns how it ended.

    A worker that is ending by itself is given end["grace"] seconds, so that its own exit code is known.
    end["folders"] are searched for files of its user.
    """
    status, deadline = None, time.monotonic() + end.get("grace", 0)
    while status is None and time.monotonic() < deadline:
        done, code = os.waitpid(pid, os.WNOHANG)
        status = code if done else None
        time.sleep(0.001)
    _kill(os.killpg, pid, uid)
    if status is None:
        os.waitpid(pid, 0)
    _end_orphans(uid)
    if os.geteuid() == 0:
        _as(uid, lambda jail: jail.remove_traces(uid, end.get("folders", [])))
    return status


def _kill(function, number, uid):
    """Kill a process or a group; as its own user, where root lacks the right."""
    try:
        function(number, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended
    except PermissionError:
        _as(uid, lambda jail: function(number, signal.SIGKILL))


def _as(uid, action):
    """Call action(jail) in a process of that user, and wait for it."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        import jail
        jail.become(uid)
        if os.getuid() == uid:
            action(jail)
    finally:
        os._exit(0)


def _end_orphans(uid):
    """What lost its parent became a child of this process: end and bury all, also those that left the group."""
    listed = os.path.join("/proc", "self", "task", str(os.getpid()), "children")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        if os.path.exists(listed):
            with open(listed, encoding="ascii") as file:
                for child in file.read().split():
                    _kill(os.kill, int(child), uid)
        time.sleep(0.001)


# The worker. Nothing the grader relies on happens here once the student's code is imported.


def work(number, largest, given, reply, defences):
    """Say what holds, import, answer."""
    import wire
    send(reply, wire.pack({"defences": wire.text(json.dumps(defences))}))
    with os.fdopen(given, "rb") as file:
        inputs = file.read()[wire.LENGTH.size:]
    try:
        import trials
        trial = trials.TRIALS[number]
    except BaseException as error:
        send(reply, report(error))
        os._exit(0)
    send(reply, wire.pack({"imported": wire.text("")}))
    send(reply, answer(trial, wire.unpack(inputs), largest))
    os._exit(0)


def send(handle, data):
    """Write all of it."""
    data = memoryview(data)
    while data:
        data = data[os.write(handle, data):]


def answer(trial, given, largest):
    """What the student's function gives, as the bytes of plain arrays; or a report of how it failed."""
    import wire
    try:
        from trials.trial import plain
        answers = trial.call(**given)
        for name, value in answers.items():
            if getattr(value, "nbytes", 0) > largest:
                raise ValueError(f"{name} has shape {value.shape}, far more numbers than were asked for")
        return wire.pack(plain(answers))
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
    main()
