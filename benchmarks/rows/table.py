"""`ROWS`: the table of speeds, in the order it is printed in."""

from __future__ import annotations

from benchmarks.rows import frozen, growth, judged, parts, studies

ROWS = (*frozen.ROWS, *studies.ROWS, *parts.ROWS, *judged.ROWS, *growth.ROWS)
