"""A training run on disk: written whole or not at all, and continued only if it is the same run.

The file is an uncompressed .npz without pickle: the arrays under their names, and one array of bytes, a JSON text
with the format's version, the identity of the run and its progress. The identity is all that shapes the run, by value:
`described` makes plain values of nets, optimisers and functions, and refuses what another process could not recognise.
"""

import functools
import hashlib
import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .. import files

VERSION = 2
META = "meta"


class CheckpointError(ValueError):
    """A checkpoint cannot be continued from; the message says why, and what to do."""


def described(name: str, value: Any) -> Any:
    """Plain values that are equal where `value` is the same in another process: for an identity.

    An array becomes its shape, type and SHA-256; a function its module and name; a partial its function and
    arguments; an object its class and attributes. Raises TypeError naming `name` for a lambda, an inner function
    and what has no attributes, which nobody could recognise again.

    >>> described("augment", functools.partial(json.dumps, indent=2))
    {'function': 'json.dumps', 'arguments': [], 'keywords': {'indent': 2}}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"shape": list(value.shape), "dtype": str(value.dtype), "sha256": digest}
    if isinstance(value, (list, tuple)):
        return [described(name, part) for part in value]
    if isinstance(value, dict):
        return {str(key): described(name, part) for key, part in value.items()}
    if isinstance(value, functools.partial):
        return {"function": described(name, value.func), "arguments": described(name, value.args),
                "keywords": described(name, value.keywords)}
    home = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    full = f"{home.__module__}.{home.__qualname__}"
    if "<" in full or home is not value and not hasattr(value, "__dict__"):  # <lambda>, <locals>
        raise TypeError(f"{name} must be known by name to be continued from a checkpoint: a function or an object of a "
                        f"class at the top level of a module, or a functools.partial of one, got {value!r}")
    return full if home is value else {"type": full} | described(name, vars(value))


def save(path: str | os.PathLike, identity: dict, arrays: dict[str, np.ndarray], progress: dict) -> None:
    """Write arrays {name: array} with the dicts `identity` and `progress` (plain values) to `path`."""
    meta = json.dumps({"version": VERSION, "identity": identity, "progress": progress})
    memory = io.BytesIO()
    stored: Any = {META: np.frombuffer(meta.encode(), dtype=np.uint8)} | arrays
    np.savez(memory, **stored)
    files.write(path, memory.getvalue())


def load(path: str | os.PathLike, identity: dict, arrays: dict[str, np.ndarray]) -> dict:
    """Fill `arrays` {name: array} in place from `path` and return the run's progress.

    Raises CheckpointError if the file is damaged, of another version, of a run with another
    identity (naming what differs), or if its arrays are not these; nothing is filled then.
    """
    stored, meta = _read(Path(path))
    for name, value in identity.items():
        if meta["identity"].get(name) != value:
            place, there, here = _difference(name, meta["identity"].get(name), value)
            raise CheckpointError(f"{path} belongs to another run: its {place} is {_short(there)}, "
                                  f"here it is {_short(here)}; take another path or delete it")
    if {name: (array.shape, array.dtype) for name, array in arrays.items()} != \
            {name: (array.shape, array.dtype) for name, array in stored.items()}:
        raise CheckpointError(f"{path} does not hold the arrays of this net and optimiser; delete it to start anew")
    for name, array in arrays.items():
        array[...] = stored[name]
    return meta["progress"]


def progress(path: str | os.PathLike) -> dict:
    """The progress of the run to which a checkpoint belongs, whatever run that is; {} where there is no file.

    Raises CheckpointError if the file is damaged or of another version.
    """
    return _read(Path(path))[1]["progress"] if Path(path).exists() else {}


def _read(path):
    """The arrays and the meta data of a checkpoint of this version; every byte is checked against its CRC."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
        meta = json.loads(stored.pop(META).tobytes().decode())
        if not isinstance(meta, dict) or not isinstance(meta.get("identity"), dict) or "progress" not in meta:
            raise ValueError("its meta data are incomplete")
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, AttributeError,
            NotImplementedError, RuntimeError, SyntaxError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to start anew") from error
    if meta.get("version") != VERSION:
        raise CheckpointError(f"{path} has format version {meta.get('version')!r}, this is version {VERSION}: "
                              "finish it with the version that wrote it, or delete it")
    return stored, meta


def _difference(place, there, here):
    """Where two descriptions first differ: the place, and what stands there in each."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *here]:
            if there.get(key) != here.get(key):
                return _difference(f"{place}.{key}", there.get(key), here.get(key))
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for number, (a, b) in enumerate(zip(there, here)):
            if a != b:
                return _difference(f"{place}[{number}]", a, b)
    return place, there, here


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
