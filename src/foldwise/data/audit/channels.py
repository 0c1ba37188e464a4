"""Checks for channels that a study would not see: named by nobody, or taken for images of their own."""

from __future__ import annotations

from foldwise.data.audit.findings import Finding
from foldwise.data.cases import Dataset
from foldwise.data.layouts.channel_files import suspected_channels


def channel_findings(dataset: Dataset) -> list[Finding]:
    """Files of channels that were left out, and images that are the channels of one picture by their names."""
    if dataset.channels_left_out:
        words = ", ".join(dataset.channels_left_out)
        message = (
            f"There are files of channels that no network will see: {words}."
            f" Read are {', '.join(dataset.channels)}, in this order."
        )
        cure = "Add them to data.channels; or move the files elsewhere if what they show is not asked for."
        return [Finding("channels_left_out", "warning", message, (), cure)]
    names = tuple(case.name for case in dataset.cases)
    words = ", ".join(() if dataset.channels else suspected_channels(names))
    if not words:
        return []
    message = f"The file names end in {words}, as the channels of one picture do: {names[0]}, {names[1]}, …"
    cure = f"State data.channels: [{words}], and they become channels of one image each."
    return [Finding("channels_in_names", "warning", message, names, cure)]
