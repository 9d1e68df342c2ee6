"""One file over HTTP: resumed where it broke off, checked, and only then in its place.

The bytes go to `<path>.partial` beside the file; what is there already is not asked for again. A
file that is whole and right is left alone. Callers pass the hash: the evaluation's networks ship
with theirs, the hub's files are pinned by its own metadata on the first download.
"""

from __future__ import annotations

import hashlib
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from emo2.errors import InputError
from emo2.types import OnStep, Progress

BLOCK = 1 << 20
TIMEOUT_S = 60.0
RETRIES = 4
RETRY_WAIT_S = 1.0
"""Doubled after each try that brought nothing."""
SPARE_BYTES = 64 << 20
"""Left free on the disk."""
USER_AGENT = "emo2-studio"
_AGAIN = "Run the command again: it goes on where it stopped."


def fetch(
    url: str,
    path: str | Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Download `url` to `path`, going on where an earlier try stopped.

    Args:
        url: http or https.
        path: the file to make; its folder is made, too.
        sha256: hexadecimal; `None` is not checked.
        size: bytes; `None` takes the server's word.
        on_step: hears `Progress("download", bytes so far, bytes in all)`, in all 0 where nobody
            knows; it may raise `Cancelled`, and the part so far is kept.

    Raises:
        InputError: no network, the server refuses, the disk is too small, or what came is not what
            was asked for (it is thrown away then). Each names the URL or the file.
    """
    path = Path(path)
    if path.is_file() and (size is None or path.stat().st_size == size):
        if sha256 is None or file_sha256(path) == sha256:
            return path
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    size = _complete(url, partial, size, on_step)
    got = partial.stat().st_size
    if size is not None and got != size:
        partial.unlink()
        raise InputError("download", f"must be {size} bytes", f"{got} bytes of {url}", _AGAIN)
    if sha256 is not None and (found := file_sha256(partial)) != sha256:
        partial.unlink()
        raise InputError(
            "download",
            f"must have the sha256 {sha256}",
            f"{found} of {url}",
            "It was thrown away; run the command again, and if it stays so name a --revision.",
        )
    partial.replace(path)
    return path


def file_sha256(path: Path) -> str:
    """Hexadecimal, read block by block."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(url: str, partial: Path, size: int | None, on_step: OnStep | None) -> int | None:
    """Fill `partial` up; returns how long the whole is, where that is known."""
    tries = 0
    while True:
        start = partial.stat().st_size if partial.exists() else 0
        if size is not None and start >= size:
            return size
        try:
            with _open(url, start) as answer:
                start, total = _resumed(answer, start)
                size = total if size is None else size
                _room(partial, size, start)
                _write(answer, partial, start, size, on_step)
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code}"
            if error.code == 416 and start:  # nothing after `start`: it was whole, or is not ours
                length = error.headers.get("Content-Range", "").rpartition("/")[2]
                if size is None and length == str(start):
                    return start
                partial.unlink()
            elif error.code < 500 and error.code != 429:
                raise _refused(url, error.code) from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", None) or error
        else:
            reason = "the connection ended early"
            if size is None or partial.stat().st_size >= size:
                return size
        now = partial.stat().st_size if partial.exists() else 0
        tries = 0 if now > start else tries + 1
        if tries >= RETRIES:
            raise InputError(
                "download",
                "needs a connection to the server",
                f"{url} ({reason}) with {now} bytes so far",
                f"Check the network or its proxy. {_AGAIN}",
            )
        if now <= start:
            time.sleep(RETRY_WAIT_S * 2 ** (tries - 1))


def _open(url: str, start: int) -> HTTPResponse:
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S
        )
    except ValueError as error:
        raise InputError(
            "download", "needs an http or https address", url, "Check the address."
        ) from error


def _resumed(answer: HTTPResponse, start: int) -> tuple[int, int | None]:
    """Where the answer begins, and how long the whole is. A server that knows no ranges sends all
    of it again."""
    length = answer.headers.get("Content-Length")
    if answer.status == 206:
        whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return start, int(whole) if whole.isdigit() else None
    return 0, None if length is None else int(length)


def _room(partial: Path, size: int | None, start: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if size is not None and size - start + SPARE_BYTES > free:
        raise InputError(
            "disk",
            f"needs {(size - start) / 1e9:.2f} GB more for {partial.name.removesuffix('.partial')}",
            f"{free / 1e9:.2f} GB free in {partial.parent}",
            "Make room, or name another folder with --to.",
        )


def _write(
    answer: HTTPResponse, partial: Path, start: int, size: int | None, on_step: OnStep | None
) -> None:
    with partial.open("r+b" if start else "wb") as file:
        file.seek(start)
        for block in _blocks(answer):
            file.write(block)
            if on_step is not None:
                on_step(Progress("download", file.tell(), size or 0))


def _blocks(answer: HTTPResponse) -> Iterator[bytes]:
    while block := answer.read1(BLOCK):
        yield block


def _refused(url: str, code: int) -> InputError:
    remedy = {
        401: "The server wants an account; this file should not need one: check the address.",
        403: "The server forbids it; try later or from another network.",
        404: "There is no such file; check the name and the --revision.",
    }.get(code, "Try again later.")
    return InputError("download", "must be there to download", f"{url} (HTTP {code})", remedy)
