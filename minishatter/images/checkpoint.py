"""A training run on disk: written whole or not at all, and continued only if it is the same run.

The file is an uncompressed .npz without pickle: the arrays under their names, and one array of bytes, a JSON text
with the format's version, the identity of the run (a dict of plain values) and its progress.
"""

import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .. import files

VERSION = 1
META = "meta"


class CheckpointError(ValueError):
    """A checkpoint cannot be continued from; the message says why, and what to do."""


def save(path, identity, arrays, progress):
    """Write arrays {name: array} with the dicts `identity` and `progress` (plain values) to `path`."""
    meta = json.dumps({"version": VERSION, "identity": identity, "progress": progress})
    memory = io.BytesIO()
    np.savez(memory, **{META: np.frombuffer(meta.encode(), dtype=np.uint8)}, **arrays)
    files.write(path, memory.getvalue())


def load(path, identity, arrays):
    """Fill `arrays` {name: array} in place from `path` and return the run's progress.

    Raises CheckpointError if the file is damaged, of another version, of a run with another
    identity (naming what differs), or if its arrays are not these; nothing is filled then.
    """
    stored, meta = _read(Path(path))
    if meta.get("version") != VERSION:
        raise CheckpointError(f"{path} has format version {meta.get('version')!r}, this is version {VERSION}: "
                              "finish it with the version that wrote it, or delete it")
    for name, value in identity.items():
        if meta["identity"].get(name) != value:
            raise CheckpointError(f"{path} belongs to another run: its {name} is {_short(meta['identity'].get(name))}, "
                                  f"here it is {_short(value)}; take another path or delete it")
    if {name: (array.shape, array.dtype) for name, array in arrays.items()} != \
            {name: (array.shape, array.dtype) for name, array in stored.items()}:
        raise CheckpointError(f"{path} does not hold the arrays of this net and optimiser; delete it to start anew")
    for name, array in arrays.items():
        array[...] = stored[name]
    return meta["progress"]


def _read(path):
    """The arrays and the meta data of a checkpoint; every byte is checked against its CRC."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
        meta = json.loads(stored.pop(META).tobytes().decode())
        if not isinstance(meta, dict) or not isinstance(meta.get("identity"), dict) or "progress" not in meta:
            raise ValueError("its meta data are incomplete")
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, AttributeError,
            NotImplementedError, RuntimeError, SyntaxError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to start anew") from error
    return stored, meta


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
