"""Files as exchanges publish them: a CSV in a zip or gzip file, unpacked within bounds before it is read."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from feature_backfill.errors import UserError

LARGEST_BYTES = 512 * 1024 * 1024
LARGEST_RATIO = 200
"""How much larger than its packed form a CSV may be. Numbers shrink to a fifth; what shrinks far more is no OHLCV."""

ALWAYS_ALLOWED_BYTES = 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The CSV in a .zip or .csv.gz file, under a name of ours in a temporary folder; any other file as it is.

    No name in an archive is used as a path.

    Raises UserError if the file is damaged, holds something else than one CSV, or unpacks to more than the bounds.
    """
    name = path.name.lower()
    if not name.endswith((".zip", ".csv.gz")):
        yield path
        return
    with TemporaryDirectory(prefix="feature_backfill_") as folder:
        target = Path(folder, "unpacked.csv")
        with target.open("wb") as file:
            for piece in _pieces(path):
                _write(path, file, piece)
        yield target


def _pieces(path: Path) -> Iterator[bytes]:
    bound = min(LARGEST_BYTES, max(ALWAYS_ALLOWED_BYTES, LARGEST_RATIO * path.stat().st_size))
    count = 0
    try:
        with _opened(path) as packed:
            while piece := packed.read(_PIECE_BYTES):
                count += len(piece)
                if count > bound:
                    raise UserError(
                        f"{path} unpacks to more than {bound // 1024**2} MiB, which no file of hourly bars does; "
                        "nothing of it was taken"
                    )
                yield piece
    except _DAMAGE as error:
        kind = "gzip" if path.suffix.lower() == ".gz" else "zip"
        raise UserError(f"{path} is no {kind} file, or is damaged: {error}; get it anew") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The packed CSV, to be read as if it were unpacked."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as packed:
            yield packed
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1 or not members[0].filename.lower().endswith(".csv"):
            held = f"{len(members)} entries" if len(members) != 1 else members[0].filename
            raise UserError(f"{path} must hold one CSV file and nothing else; it holds {held}")
        with archive.open(members[0]) as packed:
            yield packed


def _write(path: Path, file: IO[bytes], piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise UserError(f"cannot unpack {path} into {Path(file.name).parent}: {error.strerror}; free space") from error
