"""onnxruntime for browsers: taken from its npm package, of which one version by its digest is trusted, and kept in the cache."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from hashlib import sha512
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from foldwise.errors import MissingExtra, SpecError
from foldwise.storage import cache_root, written_whole

NAME, VERSION = "onnxruntime-web", "1.30.0"
FILE = f"{NAME}-{VERSION}.tgz"
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
SCRIPT, WASM = "package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm"
MAX_BYTES = 2**28  # the package has 27 MB
DOWNLOAD_S = 600
# What the MIT licence asks to be passed on with every copy.
NOTICE = f"""{NAME} {VERSION}, in this file. MIT License. Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


@dataclass(frozen=True)
class OrtWeb:
    """What a browser runs ONNX files with: a module of JavaScript, and WebAssembly."""

    script: bytes
    wasm: bytes


def ort_web(stated: Path | None = None) -> OrtWeb:
    """The files of the package: from `stated`, from the cache, or by `npm pack`, in this order.

    Args:
        stated: what `npm pack` left.

    Raises:
        SpecError: `stated` is not that package in that version.
        MissingExtra: it is neither stated nor in the cache, and npm is not there or cannot get it.
    """
    if stated is not None:
        return _files(_checked(stated, where="--ort-web"))
    cached = cache_root() / NAME / FILE
    if not cached.is_file() or sha512(cached.read_bytes()).hexdigest() != SHA512:
        package = _packed_by_npm()
        with written_whole(cached) as scratch:
            scratch.write_bytes(package)
    return _files(cached.read_bytes())


def _checked(path: Path, *, where: str) -> bytes:
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise SpecError(f"{path} is no npm package", where=where, cure=_cure())
    package = path.read_bytes()
    if sha512(package).hexdigest() != SHA512:
        what = f"{path} is not {NAME} {VERSION}: its digest is another, and no other version was tried"
        raise SpecError(what, where=where, cure=_cure())
    return package


def _cure() -> str:
    return f"On a computer with npm: npm pack {NAME}@{VERSION}; then --ort-web {FILE}."


def _packed_by_npm() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        what = (
            f"a page that runs the model needs {NAME} {VERSION}, and npm, which brings it, is not installed"
        )
        raise MissingExtra(what, cure=_cure())
    with TemporaryDirectory(prefix="foldwise-") as scratch:
        words = [npm, "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--pack-destination", scratch]
        try:
            ended = subprocess.run(
                words, cwd=scratch, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False
            )
            reason = (ended.stderr.strip() or "no reason").splitlines()[-1]
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        path = Path(scratch) / FILE
        if not path.is_file():
            raise MissingExtra(f"npm cannot get {NAME} {VERSION} ({reason:.200})", cure=_cure())
        return _checked(path, where="npm")


def _files(package: bytes) -> OrtWeb:
    with tarfile.open(fileobj=BytesIO(package), mode="r:gz") as archive:
        files = [archive.extractfile(name) for name in (SCRIPT, WASM)]
        script, wasm = (file.read() if file is not None else b"" for file in files)
    return OrtWeb(script, wasm)
