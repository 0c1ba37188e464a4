"""A folder that is read as a study would read it, and the refusal of one that is not."""

import pytest

from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec


def read(root, group="auto", split="auto", **data):
    return read_dataset(DataSpec(path=str(root), **data), base=root.parent, group=group, split=split)


def refused(root, **stated):
    with pytest.raises(DataError) as caught:
        read(root, **stated)
    return caught.value
