"""Images with labels: CIFAR-10 from its official binary files, and stripes that need no download.

    images    (N, 3, 32, 32) uint8: channel (red, green, blue), row, column
    labels    (N,) int64, from 0 to 9
    batch     one file of 10,000 records; a record is a label byte and 3,072 bytes of image

`load_cifar10` only reads, `fetch_cifar10` alone uses the network, and
`synthetic_images` stands in where there is no CIFAR-10.
"""

import hashlib
import http.client
import os
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import arguments, files


class Dataset(NamedTuple):
    """Images, their labels, and what they are, to be said on every figure and table made from them."""

    images: np.ndarray  # (N, 3, 32, 32) uint8
    labels: np.ndarray  # (N,) int64
    name: str           # "CIFAR-10" or "synthetic images"


class Archive(NamedTuple):
    """A file to download, and how to know it."""

    url: str
    size: int  # bytes
    md5: str


# CIFAR-10: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
IMAGES = 10_000      # in a batch
RECORD = 1 + 3 * 32 * 32  # bytes
BATCHES = {1: "data_batch_1.bin", 2: "data_batch_2.bin", 3: "data_batch_3.bin", 4: "data_batch_4.bin",
           5: "data_batch_5.bin", "test": "test_batch.bin"}
FOLDER, NAMES = "cifar-10-batches-bin", "batches.meta.txt"

# The sums that torchvision for Ruby (ankane/torchvision-ruby) publishes. Those of batches 1, 2 and test were also
# measured, on files whose pixels and labels are known to be the official ones; 3 to 5 rest on that source alone.
SHA256 = {"data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
          "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
          "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
          "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
          "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
          "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"}

ARCHIVE = Archive("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", 170_052_171,
                  "c32a1d4ab5d03f1284b67883e8d87530")
BY_HAND = (f"call minishatter.data.fetch_cifar10, or download {ARCHIVE.url} (linked from "
           "https://www.cs.toronto.edu/~kriz/cifar.html) by other means and unpack it")


def load_cifar10(data_home=None, batches=(1, 2, 3, 4, 5), verify=True):
    """The images of the batches, in the order given, as a Dataset; by default the whole training set.

    batches: any of 1 to 5 and "test"; a single one needs no tuple: load_cifar10(batches="test").
    Only their files are opened. They lie in data_home or in data_home/cifar-10-batches-bin;
    data_home is by default the environment variable MINISHATTER_DATA, else the folder
    minishatter in the user's cache. Nothing is downloaded.

    Raises FileNotFoundError for a missing file, and ValueError for one that has not the right
    size, has a label above 9, or has another SHA-256 sum (not computed if verify is False).
    """
    home, names = _home(data_home), _batch_names(batches)
    images = np.empty((len(names) * IMAGES, *SHAPE), np.uint8)
    labels = np.empty(len(images), np.int64)
    for i, name in enumerate(names):
        records, rows = _checked(*_find(home, name), verify), slice(i * IMAGES, (i + 1) * IMAGES)
        images[rows], labels[rows] = records[:, 1:].reshape(-1, *SHAPE), records[:, 0]
    return Dataset(images, labels, "CIFAR-10")


def _batch_names(batches):
    if isinstance(batches, (str, int, np.integer)):
        batches = (batches,)
    if not np.iterable(batches):
        raise TypeError(f"batches must be a tuple of 1 to 5 or \"test\", got {batches!r}")
    batches = [batch if isinstance(batch, str) else arguments.integer("batches", batch) for batch in batches]
    names = [BATCHES[arguments.one_of("batches", batch, BATCHES)] for batch in batches]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"batches must name at least one batch, and none twice, got {batches}")
    return names


def _home(data_home):
    """The folder of the data: the one given, the environment's, or one in the user's cache."""
    if data_home is None:
        cache = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", "")
        cache = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"  # XDG: a relative one is ignored
        data_home = os.environ.get("MINISHATTER_DATA") or cache / "minishatter"
    if not isinstance(data_home, (str, os.PathLike)):
        raise TypeError(f"data_home must be the path of a folder, got {data_home!r}")
    return Path(data_home).expanduser()


def _find(home, name):
    """The path of a batch, and its bytes. What `fetch_cifar10` wrote comes first."""
    for path in (home / FOLDER / name, home / name):
        if path.is_file():
            return path, path.read_bytes()
    raise FileNotFoundError(f"{name} is neither in {home / FOLDER} nor in {home}. To get it, {BY_HAND} there")


def _checked(path, content, verify=True):
    """The records (IMAGES, RECORD) uint8 in the bytes `content` of a batch; `path` says which one, also in errors."""
    size, sum_ = IMAGES * RECORD, SHA256.get(path.name)
    if len(content) != size:
        kind = "short" if len(content) < size else "long"
        raise ValueError(f"{path} is too {kind}: expected {size:,} bytes, got {len(content):,}. Remove it, and {BY_HAND}")
    if verify and sum_ is not None and (got := hashlib.sha256(content).hexdigest()) != sum_:
        raise ValueError(f"{path} is damaged: expected the SHA-256 sum {sum_}, got {got}. Remove it, and {BY_HAND}")
    records = np.frombuffer(content, np.uint8).reshape(IMAGES, RECORD)
    bad = np.flatnonzero(records[:, 0] >= len(CLASSES))
    if bad.size:
        raise ValueError(f"{path} is damaged: expected labels from 0 to 9, got {records[bad[0], 0]} at image {bad[0]}. "
                         f"Remove it, and {BY_HAND}")
    return records


# The download. What has arrived stays in a .part file, and the next attempt, or the next call, goes on from there.

PART = "cifar-10-binary.tar.gz.part"
TRIES, PAUSE = 4, 2.0      # attempts, and seconds before the second one; the pause doubles each time
TIMEOUT, BLOCK = 60.0, 2**20  # seconds without a byte; bytes between two steps of progress


def fetch_cifar10(data_home=None, url=ARCHIVE.url, progress=None):
    """Download the official archive (170 MB) and write its batches to data_home/cifar-10-batches-bin.

    data_home: as in load_cifar10; it is returned, as a Path. Does nothing if all batches are
    there and right. url: a mirror of the archive. progress wraps the iteration over the
    blocks of the download, such as report.progress("CIFAR-10").

    The batches are written only after size and MD5 of the archive and the SHA-256 of each are
    right; then the archive is removed. Raises OSError if the download fails (calling again
    resumes it), ValueError if what came is not CIFAR-10.
    """
    home = _home(data_home)
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise ValueError(f"url must start with https:// or http://, got {url!r}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function that wraps an iterable, got {progress!r}")
    if not _complete(home):
        part = home / PART
        home.mkdir(parents=True, exist_ok=True)
        _download(url, part, progress or iter)
        for name, content in _members(part).items():
            files.write(home / FOLDER / name, content)
        part.unlink()
    return home


def _complete(home):
    try:
        return all(_checked(*_find(home, name)).size for name in BATCHES.values())
    except (OSError, ValueError):
        return False


def _download(url, part, progress):
    """Fill `part` with the archive, in a few attempts."""
    for attempt in range(TRIES):
        time.sleep(PAUSE * 2**(attempt - 1) if attempt else 0)
        try:
            _resume(url, part, progress)
            return _verify(part)
        except urllib.error.HTTPError as error:
            error.close()
            failure = error
            if error.code == 416:  # no such range: what is there is no beginning of what the server has
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                break  # asking again would not help
        except (OSError, ValueError, http.client.HTTPException) as error:
            failure = error
    arrived = part.stat().st_size if part.exists() else 0
    raise (ValueError if isinstance(failure, ValueError) else OSError)(
        f"{url} did not give the archive in {attempt + 1} attempts; the last failed with: {failure}. {arrived:,} of "
        f"{ARCHIVE.size:,} bytes are in {part}. Call again to go on from there, or download {ARCHIVE.url} by other "
        f"means and unpack it in {part.parent}") from failure


def _resume(url, part, progress):
    """Ask for the bytes that `part` has not, and add them; where the server sends all of them, start over."""
    have = part.stat().st_size if part.exists() else 0
    if have >= ARCHIVE.size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        span, total = response.headers.get("Content-Range", ""), response.headers.get("Content-Length", "")
        if response.status == 206:
            total = span.rpartition("/")[2]
            if not span.startswith(f"bytes {have}-"):
                part.unlink(missing_ok=True)
                raise OSError(f"the bytes from {have:,} on were asked for, and the server sent {span!r}")
        if total.isdigit() and int(total) != ARCHIVE.size:
            raise ValueError(f"the archive has {ARCHIVE.size:,} bytes, and the server offers {int(total):,}")
        with part.open("ab" if response.status == 206 else "wb") as file:
            _receive(response, file, ARCHIVE.size - file.tell(), progress)


def _receive(response, file, missing, progress):
    """Copy up to `missing` bytes; read1 gives what there is, so that nothing is lost when the server stalls."""
    for start in progress(range(0, missing, BLOCK)):
        wanted = min(BLOCK, missing - start)
        while wanted:
            piece = response.read1(wanted)
            if not piece:
                return
            file.write(piece)
            wanted -= len(piece)


def _verify(part):
    """Raise if the archive is not whole; a wrong one is removed, a short one kept."""
    if (size := part.stat().st_size) < ARCHIVE.size:
        raise OSError(f"the connection ended after {size:,} of {ARCHIVE.size:,} bytes")
    digest = hashlib.md5(usedforsecurity=False)
    with part.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != ARCHIVE.md5:
        part.unlink()
        raise ValueError(f"the archive is damaged: expected the MD5 sum {ARCHIVE.md5}, got {digest.hexdigest()}")


def _members(part):
    """The checked contents {name: bytes} of the named members. Paths of the archive are compared, and never used."""
    limits = {name: IMAGES * RECORD for name in BATCHES.values()} | {NAMES: 1024}
    contents = {}
    try:
        with tarfile.open(part, "r:gz") as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                named = folder == FOLDER and name in limits
                if member.size > (limits[name] if named else IMAGES * RECORD):
                    raise ValueError(f"{member.name} is too large: {member.size:,} bytes")
                if named and (not member.isreg() or name in contents):
                    raise ValueError(f"{member.name} is there twice, or is not a plain file")
                if named:
                    contents[name] = tar.extractfile(member).read()
        if missing := limits.keys() - contents:
            raise ValueError(f"{', '.join(sorted(missing))} missing")
        for name in BATCHES.values():
            _checked(Path(name), contents[name])
    except (ValueError, tarfile.TarError, EOFError, zlib.error) as error:
        part.unlink()
        raise ValueError(f"{part.name} has the right sum and is not CIFAR-10: {error}") from error
    return contents


# A stand-in.


def synthetic_images(n, rng):
    """n images of a patch of stripes, as a Dataset; the ten classes are five slopes times two widths.

    Class k: slope |angle| = (k mod 5) * 22.5 degrees from horizontal, wavelength 4 (k < 5) or 8 pixels.
    Position, phase, the sign of the angle, colour and background are random, and there is noise.
    Every class has one mean image, a grey, so that pixels are of no use to a linear model;
    mirrored and shifted images keep their class. The classes are as equal in number as n allows.
    """
    labels = arguments.generator("rng", rng).permutation(np.arange(arguments.integer("n", n)) % 10)
    one_each = (n, 1, 1, 1)
    angle = np.pi / 8 * (labels % 5) * rng.choice([-1, 1], n)
    direction = np.stack([np.cos(angle), np.sin(angle)])[..., None, None, None].astype(np.float32)  # across the stripes
    wavelength = np.where(labels < 5, 4, 8).reshape(one_each)
    row, column = np.indices((32, 32), np.float32)[:, None, None] - rng.uniform(8, 23, (2, *one_each)).astype(np.float32)
    across = row * direction[0] + column * direction[1]  # (n, 1, 32, 32)
    phase = rng.uniform(0, 2 * np.pi, one_each).astype(np.float32)
    stripes = np.cos(2 * np.pi / wavelength * across + phase) * np.exp(-(row**2 + column**2) / (2 * 6.0**2))
    colour = rng.standard_normal((n, 3, 1, 1))
    colour = rng.uniform(40, 80, one_each) * colour / np.abs(colour).max(axis=1, keepdims=True)
    background = rng.uniform(96, 160, (n, 3, 1, 1))
    noise = 12 * rng.standard_normal((n, *SHAPE), np.float32)
    images = background + colour * stripes + noise
    return Dataset(np.clip(images, 0, 255).round().astype(np.uint8), labels, "synthetic images")
