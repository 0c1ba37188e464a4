"""Files and folders from where they are published: resumed after an interruption, checked, never half."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pooch
import requests

from foldwise.data.public.catalogue import ByHand, Cutouts, Kaggle, Origin, Web
from foldwise.data.public.conversions import Progress
from foldwise.errors import DataError, FoldwiseError, MissingExtra, RunError, need
from foldwise.storage import written_whole

TIMEOUT_S = (15.0, 60.0)  # to connect, and between two pieces
# The download is given up after so many tries in a row that brought nothing new.
TRIES = 5
# Small, since requests gives no piece that is not full: this much a break may cost.
CHUNK = 1 << 14


def fetch(origin: Origin, folder: Path, progress: Progress) -> Path:
    """The archive (a file) or the unpacked original (a folder) of a source, downloaded if it is not there yet.

    Downloads of a source stay in `folder`, so that the next call finds them.

    Raises:
        DataError: the download broke off, or is not the file that was expected.
        MissingExtra: an account, a package, or any known address is missing.
        RunError: the download cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    match origin:
        case Web():
            return _from_web(origin, folder, progress)
        case Kaggle():
            return _from_kaggle(origin)
        case Cutouts():
            origin.fetch(folder, progress)
            return folder
        case ByHand():
            problem = "nothing is known from which this data set could be downloaded"
            raise MissingExtra(problem, cure=f"{origin.how} Then give the copy with --local FOLDER.")


def _from_web(web: Web, folder: Path, progress: Progress) -> Path:
    path = folder / web.file_name
    # Beside a download lies the digest it had when it first came.
    record = path.with_name(f"{path.name}.sha256")
    recorded = record.read_text(encoding="ascii").strip() if record.is_file() else None
    sha256 = web.sha256 or recorded
    pooch.get_logger().setLevel("WARNING")  # else every digest is printed
    with _in_plain_words(web, folder, sha256):
        pooch.retrieve(
            web.url,
            known_hash=f"sha256:{sha256}" if sha256 else None,
            fname=web.file_name,
            path=folder,
            downloader=Resuming(folder / f"{web.file_name}.part", progress),
        )
    if recorded is None:
        digest = pooch.file_hash(str(path), alg="sha256")
        with written_whole(record) as scratch:
            scratch.write_text(f"{digest}\n", encoding="ascii")
    return path


@contextmanager
def _in_plain_words(web: Web, folder: Path, sha256: str | None) -> Iterator[None]:
    """Errors of pooch and requests as ours, each with what to do about it."""
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        cure = "Look whether the page of the data set has moved; a copy of your own is taken with --local."
        raise DataError(f"{web.url} answers {status}", cure=cure) from None
    except requests.RequestException as error:
        problem = f"{web.file_name} could not be downloaded whole ({_reason(error)})"
        cure = "Run the same command again: it goes on where it stopped, if the server allows it."
        raise DataError(problem, where=web.url, cure=cure) from None
    except ValueError:
        source = "published" if web.sha256 else "recorded at the first download"
        problem = f"{web.file_name} is not the file that was expected: its SHA-256 is not {sha256}, the one {source}"
        cure = (
            "Nothing of it was kept. Try again; if it stays so, the file was changed at its source: compare with its"
            f" page, then delete {folder / web.file_name}.sha256 to accept it."
        )
        raise DataError(problem, where=web.url, cure=cure) from None
    except OSError as error:
        problem = f"the download cannot be written ({error.strerror or error})"
        cure = "Make room, or set FOLDWISE_CACHE to a folder with room; what came so far is kept."
        raise RunError(problem, where=str(folder), cure=cure) from None


def _reason(error: Exception) -> str:
    """The innermost cause, which is the part of a long message that says something."""
    text = str(error)
    causes = re.findall(
        r"(Name or service not known|refused|timed out|unreachable|IncompleteRead|reset)", text
    )
    return str(causes[-1]) if causes else type(error).__name__


class Resuming:
    """A pooch downloader that goes on with what an earlier call left, if the server says it is the same file.

    Without an ETag or a date from the server the pieces of two versions could be joined unnoticed; then, and where
    the server does not send parts, it starts anew.
    """

    def __init__(self, part: Path, progress: Progress) -> None:
        self.part, self.progress = part, progress
        self.mark = part.with_name(f"{part.name}.mark")

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Bring the whole file, and only the whole file, to `output_file`."""
        idle = 0
        while True:
            before = self._size()
            try:
                self._go_on(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                # A long download breaks off now and then; give up only when nothing comes any more.
                idle = 0 if self._size() > before else idle + 1
                if idle >= TRIES or not self._size():
                    raise
        self.part.replace(output_file)
        self.mark.unlink(missing_ok=True)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _go_on(self, url: str) -> None:
        start = self._size() if self.mark.is_file() else 0
        headers = {"Accept-Encoding": "identity"}  # bytes as they lie there, so that places fit
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": self.mark.read_text(encoding="latin-1")}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == 416:  # nothing follows what is here: it is whole, or of another file
                if answer.headers.get("Content-Range", "") == f"bytes */{start}":
                    return
                self.part.unlink()
                raise requests.ConnectionError("the part kept does not belong to this file")
            answer.raise_for_status()
            if answer.status_code != 206:
                start = 0
            elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                self.part.unlink()
                raise requests.ConnectionError("the server sent another part than was asked")
            self._write(answer, start)

    def _write(self, answer: requests.Response, start: int) -> None:
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        # Weak ETags (W/"...") promise alike, not equal, bytes.
        tag = answer.headers.get("ETag", "")
        mark = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
        if mark:
            self.mark.write_text(mark, encoding="latin-1")
        else:
            self.mark.unlink(missing_ok=True)
        done = start
        with self.part.open("ab" if start else "wb") as file:
            for piece in answer.iter_content(CHUNK):
                file.write(piece)
                done += len(piece)
                self.progress(f"Downloading {self.part.name.removesuffix('.part')}", done, total)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and done != total:
            raise requests.ConnectionError(f"IncompleteRead: {done} of {total} bytes")


def _from_kaggle(kaggle: Kaggle) -> Path:
    try:
        hub = need("kagglehub", "kaggle")
    except MissingExtra as error:
        by_hand = f"Or download it in a browser from {kaggle.url} and give it with --local."
        raise MissingExtra(error.what, cure=f"{error.cure}\n    {by_hand}") from None
    download = hub.competition_download if kaggle.competition else hub.dataset_download
    try:
        return Path(download(kaggle.slug))
    except Exception as error:  # the kinds kagglehub raises differ from version to version
        raise _kaggle_refusal(kaggle, error) from None


def _kaggle_refusal(kaggle: Kaggle, error: Exception) -> FoldwiseError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    if status in {401, 403} or "Unauth" in kind or "Credential" in kind:
        rules = f" Then accept the rules of the competition at {kaggle.url}." if kaggle.competition else ""
        return MissingExtra(
            f"Kaggle gives {kaggle.slug} to signed-in users only, and it did not accept this one",
            where=kaggle.url,
            cure="Make an account and an API token (kaggle.com, Settings, API), and set KAGGLE_USERNAME and KAGGLE_KEY"
            f" or save kaggle.json in the folder .kaggle of your home.{rules} Or download it in a browser and give it"
            " with --local.",
        )
    detail = str(error).splitlines()[0][:200] if str(error) else kind
    cure = "Try again; or download it in a browser and give it with --local."
    return DataError(f"Kaggle did not give {kaggle.slug} ({detail})", where=kaggle.url, cure=cure)
