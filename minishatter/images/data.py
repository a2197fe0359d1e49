"""Images with labels: CIFAR-10 from its official binary files, and stripes that need no download.

    images    (N, 3, 32, 32) uint8: channel (red, green, blue), row, column
    labels    (N,) int64, from 0 to 9
    batch     one file of 10,000 records; a record is a label byte and 3,072 bytes of image

`load_cifar10` only reads, `fetch_cifar10` alone uses the network, and
`synthetic_images` stands in where there is no CIFAR-10.
"""

import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import arguments, files
from . import download


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
IMAGES = 10_000           # in a batch
RECORD = 1 + 3 * 32 * 32  # bytes
BATCHES = {1: "data_batch_1.bin", 2: "data_batch_2.bin", 3: "data_batch_3.bin", 4: "data_batch_4.bin",
           5: "data_batch_5.bin", "test": "test_batch.bin"}
FOLDER, NAMES = "cifar-10-batches-bin", "batches.meta.txt"

# Of each channel, over the training set.
MEAN, STD = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])

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
BY_HAND = (f"call minishatter.images.data.fetch_cifar10, or download {ARCHIVE.url} (linked from "
           "https://www.cs.toronto.edu/~kriz/cifar.html) by other means and unpack it")


def normalised(images: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Images (N, 3, rows, cols) of 0 to 255 as numbers of mean 0 and standard deviation 1 over CIFAR-10's training set.

    >>> normalised(np.full((1, 3, 1, 1), 128, np.uint8), np.float64).ravel().round(3)
    array([0.043, 0.081, 0.211])
    """
    images = arguments.array("images", images, ndim=4)
    if images.shape[1] != 3:
        raise ValueError(f"images must have 3 channels, (N, 3, rows, cols), got shape {images.shape}")
    return ((images - MEAN[:, None, None]) / STD[:, None, None]).astype(dtype)


def load_cifar10(data_home: str | os.PathLike | None = None, batches: int | str | Iterable = (1, 2, 3, 4, 5),
                 verify: bool = True) -> Dataset:
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
        path, content = _find(home, name)
        try:
            records = _records(path, content, verify)
        except ValueError as error:
            raise ValueError(f"{error}. Remove this file, and {BY_HAND}") from error
        rows = slice(i * IMAGES, (i + 1) * IMAGES)
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
        cache = cache if os.path.isabs(cache) else os.path.join("~", ".cache")  # XDG: a relative one is ignored
        data_home = os.environ.get("MINISHATTER_DATA") or os.path.join(cache, "minishatter")
    if not isinstance(data_home, (str, os.PathLike)):
        raise TypeError(f"data_home must be the path of a folder, got {data_home!r}")
    try:
        return Path(data_home).expanduser()
    except RuntimeError as error:  # no HOME, and nobody of this number in the list of users
        raise ValueError(f"data_home must be given, or named in the variable MINISHATTER_DATA: {data_home} is in a "
                         "home folder, and this user has none") from error


def _find(home, name):
    """The path of a batch, and its bytes. What `fetch_cifar10` wrote comes first."""
    for path in (home / FOLDER / name, home / name):
        if path.is_file():
            return path, path.read_bytes()
    raise FileNotFoundError(f"{name} is neither in {home / FOLDER} nor in {home}. To get it, {BY_HAND} there")


def _records(path, content, verify=True):
    """The records (IMAGES, RECORD) in the bytes `content` of a batch, uint8; the name of `path` says which batch."""
    size, known = IMAGES * RECORD, SHA256[path.name]
    if len(content) != size:
        short = "short" if len(content) < size else "long"
        raise ValueError(f"{path} is too {short}: expected {size:,} bytes, got {len(content):,}")
    records = np.frombuffer(content, np.uint8).reshape(IMAGES, RECORD)
    bad = np.flatnonzero(records[:, 0] >= len(CLASSES))
    if bad.size:
        raise ValueError(f"{path} is damaged: expected labels from 0 to 9, got {records[bad[0], 0]} at image {bad[0]}")
    if verify and (got := hashlib.sha256(content).hexdigest()) != known:
        raise ValueError(f"{path} is damaged: expected the SHA-256 sum {known}, got {got}")
    return records


# The download.


def fetch_cifar10(data_home: str | os.PathLike | None = None, url: str = ARCHIVE.url,
                  progress: Callable[[Iterable], Iterable] | None = None) -> Path:
    """Download the official archive (170 MB) and write its batches to data_home/cifar-10-batches-bin.

    data_home: as in load_cifar10; it is returned, as a Path. Does nothing if all batches are
    there and right. url: the archive, or a mirror of it; its host has been slow since 2026.
    progress wraps the iteration over the blocks, such as running.progress("CIFAR-10").

    A broken download is resumed, here and in the next call (see download.fetch); a second process
    waits for the first, and then does nothing. Nothing is written before size and MD5 of the archive
    and SHA-256 of each batch are found right; then the archive is removed. Raises OSError if it
    cannot be had, ValueError if it is another file.
    """
    home = _home(data_home)
    if _has_all(home):
        return home
    download.check_source(url, progress)
    home.mkdir(parents=True, exist_ok=True)
    with files.alone(home):
        if not _has_all(home):  # another process may have been faster
            archive = download.fetch(url, home / "cifar-10-binary.tar.gz.part", ARCHIVE.size, ARCHIVE.md5, progress)
            for name, content in _members(archive).items():
                files.write(home / FOLDER / name, content)
            archive.unlink()
    return home


def _has_all(home):
    try:
        return all(_records(*_find(home, name)).size for name in BATCHES.values())
    except (OSError, ValueError):
        return False


def _members(archive):
    """The files {name: bytes} in the archive, checked. Its paths are compared with ours, and never used."""
    largest = {f"{FOLDER}/{name}": IMAGES * RECORD for name in BATCHES.values()} | {f"{FOLDER}/{NAMES}": 1024}
    contents = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.size > largest.get(member.name, IMAGES * RECORD):
                    raise ValueError(f"{member.name} is too large, {member.size:,} bytes")
                if member.name in largest:
                    if not member.isreg() or member.name in contents:
                        raise ValueError(f"{member.name} is no plain file, or there twice")
                    contents[member.name] = tar.extractfile(member).read()
        if missing := largest.keys() - contents:
            raise ValueError(f"{', '.join(sorted(missing))} missing")
        contents = {path.removeprefix(f"{FOLDER}/"): content for path, content in contents.items()}
        for name in BATCHES.values():
            _records(Path(name), contents[name])
    except (ValueError, tarfile.TarError, EOFError, zlib.error) as error:
        archive.unlink()  # to try again, another one is needed
        raise ValueError(f"{archive.name} has the sum of CIFAR-10 and not its files: {error}") from error
    return contents


# The stand-in.


def synthetic_images(n: int, rng: np.random.Generator) -> Dataset:
    """n images of a patch of stripes, as a Dataset; the ten classes are five slopes in two widths.

    Class k has stripes at (k mod 5) * 22.5 degrees from horizontal, 4 (k < 5) or 8 pixels apart.
    Place, phase, sign of the angle, colours and noise are random: the mean image of every class
    is the same grey, and an image shifted or mirrored keeps its class. Measured test accuracy
    with 3,000 to 4,000 training images, chance being 0.1: 0.16 for a linear model of the pixels,
    0.95 for one of |7 x 7 stripe filters| averaged over the image, 0.87 for two convolutions
    (16 and 32 filters, 12 epochs of Adam).
    """
    labels = arguments.generator("rng", rng).permutation(np.arange(arguments.integer("n", n)) % len(CLASSES))
    each = (n, 1, 1, 1)
    colour = rng.standard_normal((n, 3, 1, 1), np.float32)
    colour /= np.abs(colour).max(axis=1, keepdims=True)
    contrast, background = rng.uniform(50, 80, each), rng.uniform(96, 160, colour.shape)
    images = 30 * rng.standard_normal((n, *SHAPE), np.float32)
    images += (contrast * colour).astype(np.float32) * _stripes(labels, rng) + background.astype(np.float32)
    return Dataset(np.clip(images, 0, 255).round().astype(np.uint8), labels, "synthetic images")


def _stripes(labels, rng):
    """A wave between -1 and 1 under a Gaussian window 6 pixels wide, for each label: (n, 1, 32, 32) float32."""
    each = (len(labels), 1, 1, 1)
    angle = np.pi / 8 * (labels % 5) * rng.choice([-1, 1], len(labels))
    wave = 2 * np.pi / np.where(labels < 5, 4, 8) * np.stack([np.cos(angle), np.sin(angle)])
    wave_row, wave_column = wave.reshape(2, *each).astype(np.float32)  # radians per pixel
    phase = rng.uniform(0, 2 * np.pi, each).astype(np.float32)
    place = rng.uniform(4, 27, (2, *each))
    row, column = (np.indices(SHAPE[1:])[:, None, None] - place).astype(np.float32)
    return np.cos(wave_row * row + wave_column * column + phase) * np.exp(-(row**2 + column**2) / (2 * 6**2))
