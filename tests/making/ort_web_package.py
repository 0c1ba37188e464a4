"""Where the npm package of onnxruntime for browsers lies, for tests of the page that runs a model; it is not asked of npm."""

import os
from functools import lru_cache
from pathlib import Path

import pytest
from platformdirs import user_cache_dir

from foldwise.learning.export import page_html, try_it
from foldwise.learning.export.try_it import FILE, NAME

# Unpacked, and packed for a page, once for all pages of a process: each takes a second.
try_it._files = lru_cache(maxsize=1)(try_it._files)
page_html.packed = lru_cache(maxsize=4)(page_html.packed)

PLACES = (os.environ.get("FOLDWISE_ORT_WEB", ""), Path(user_cache_dir("foldwise")) / NAME / FILE)


def package_or_skip():
    """Its path; the test is skipped where it is not there."""
    for place in filter(None, PLACES):
        if Path(place).is_file():
            return Path(place)
    pytest.skip(f"{FILE} is not there: name it in FOLDWISE_ORT_WEB, or make a page once with npm")
