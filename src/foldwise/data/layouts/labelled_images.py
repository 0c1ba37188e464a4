"""Images with a table of their labels, one row per image."""

from __future__ import annotations

from foldwise.data.cases import Case, Dataset
from foldwise.data.layouts.channel_files import images_at, suspected_channels, with_channels
from foldwise.data.layouts.labels import read_labels
from foldwise.data.layouts.listing import Finder, Listing, image_files, image_files_below, subfolders
from foldwise.data.layouts.tables import image_column, match_rows, read_table, unlisted
from foldwise.errors import DataError, FoldwiseError


def fits(listing: Listing) -> str | None:
    """The table and the images it may speak of: those of ``images/``, of other folders, or beside it."""
    if listing.table is None:
        return None
    name = listing.table.name
    if listing.images is not None:
        return f"{listing.images}/ with {name}"
    if listing.class_folders:
        return f"{listing.class_folders[0]}/ with {name}"
    return f"images beside {name}" if listing.loose_images and not listing.has_nested_images else None


def read(listing: Listing) -> Dataset:
    """The data set of images and a table of their labels; every image has one row and every row one image."""
    root, data = listing.root, listing.data
    if listing.table is None:
        raise DataError(
            "there is no table of labels",
            where=str(root),
            cure="Add labels.csv with the columns image and label, or state data.table.",
        )
    table, folder = read_table(listing.table), (listing.images or "").removeprefix(".")
    names = image_column(table, data.image_column)
    paths = [f"{folder}/{name}" if folder else name for name in image_files_below(root / folder)]
    joined = images_at(paths, data, where=str(root))
    finder = Finder(list(joined.names.values()), folder)
    labels = read_labels(table, data, names)
    rows, errors = match_rows(table, names, finder)
    errors += unlisted(table, rows, finder)
    if errors and data.channels == "native" and (words := suspected_channels(paths)):
        cure = f"State data.channels: [{', '.join(words)}], in the order that they are to have."
        errors = [DataError(f"the file names end in {', '.join(words)}, as channels do", cure=cure), *errors]
    if errors:
        raise DataError.together(errors)
    cases = tuple(
        Case(i, name, image, None, labels.rows[rows[name]])
        for i, (image, name) in enumerate(joined.names.items())
    )
    idle = [name for name in subfolders(root) if folder and name != folder.split("/")[0]]
    unused = (f"Folders that were not used: {', '.join(idle)}.",) if idle else ()
    statements = (*labels.statements, *unused)
    dataset = Dataset(root, labels.task, labels.classes, cases, "table", statements, None)
    return with_channels(dataset, data, [joined])


def difference_to_folders(listing: Listing) -> str | None:
    """None if a table beside class folders says the same as the folders; else how it differs, in words."""
    assert listing.table is not None
    try:
        table = read_table(listing.table)
        column = image_column(table, listing.data.image_column)
        files = [
            f"{name}/{file}" for name in listing.class_folders for file in image_files(listing.root / name)
        ]
        finder = Finder(files)
        labels = read_labels(table, listing.data, column)
        rows, errors = match_rows(table, column, finder)
    except FoldwiseError as error:
        return f"it cannot be taken as labels ({error.what})"
    if errors:
        return f"its rows do not fit the files ({errors[0].what})"
    if labels.task == "multilabel_classification":
        return "it gives several labels per image"
    for path, row in rows.items():
        name = labels.classes[labels.rows[row][0]]
        if name != path.split("/")[0]:
            return f"it calls {path} {name!r} (line {table.lines[row]})"
    return None
