"""Files spoiled at random, by a seed: studies key by key, tables cell by cell, and any text byte by byte."""

import math
from random import Random

HUGE = "9" * 60
TEXTS = ["", " ", "nan", "-", "none", "null", "a/b", "../..", "~", "\\", "é", "e\u0301", "\u200b", "𝔸", "x" * 5000, "NUL", "%s", "{x}", "*a", "&a", "!t", "'", '"', "a\tb", "a,b;c", "=1+1", "\ufeff", "true", "2024-01-01", "timm:", "smp:/", ":", "a:b", "pattern:(", "pattern:(.)", "pattern:(a+)+$"]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 0.5, -0.5, 5, 255, 256, 1000, 10**9, 10**15, 2**63, 10**30, -(10**30), 1e-300, 1e300, math.nan, math.inf, -math.inf, True, False]  # fmt: skip
CELLS = [*TEXTS, "1e999", "1_0", "0,8", "87%", "\u0663", "-0.5", "12.10", "001", HUGE, "a\nb", "a\0b", "mean", "a;b", "0", "1", "0.5", "i0.png", "a"]  # fmt: skip


def junk(rng: Random, depth: int = 0):
    """A value that no key, or only some, can take."""
    kind = rng.randrange(6 if depth < 3 else 3)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return None
    parts = [junk(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 3:
        return parts
    if kind == 4:
        return {"each": parts}
    return {rng.choice(TEXTS): part for part in parts}


def places_in(value, at=()):
    """Every way that leads to a value."""
    yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield from places_in(part, (*at, key))


def spoiled_study(rng: Random, study: dict, strangers: list[dict]) -> dict:
    """A copy with one to three keys or values changed, taken out, doubled, renamed, or taken from another study."""
    study = _copy(study)
    for _ in range(rng.randint(1, 3)):
        at = rng.choice([place for place in places_in(study) if place])
        parent = study
        for key in at[:-1]:
            parent = parent[key]
        change, key = rng.randrange(7), at[-1]
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, list):
            parent.insert(key, _copy(parent[key]))
        elif change == 2 and isinstance(parent, dict):
            parent[rng.choice([*TEXTS, f"{key}s", str(key)[1:]])] = parent.pop(key)
        elif change == 3:
            stranger = rng.choice(strangers)
            for step in rng.choice(list(places_in(stranger))):
                stranger = stranger[step]
            parent[key] = _copy(stranger)
        elif change == 4:
            parent[key] = rng.choice(NUMBERS)
        else:
            parent[key] = junk(rng)
    return study


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value


def spoiled_table(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    """A copy with one to three cells, rows or columns changed, taken out or doubled."""
    rows = [list(row) for row in rows]
    for _ in range(rng.randint(1, 3)):
        row = rng.randrange(len(rows))
        if not rows[row]:
            continue
        column, change = rng.randrange(len(rows[row])), rng.randrange(8)
        if change == 0:
            del rows[row][column]
        elif change == 1:
            rows.insert(row, list(rng.choice(rows)))
        elif change == 2 and len(rows) > 1:
            del rows[row]
        elif change == 3:
            for cells in rows:
                del cells[column : column + 1]
        elif change == 4:
            for cells in rows:
                cells.insert(column, rng.choice([*CELLS, *cells]) if cells else "")
        elif change == 5:
            rng.shuffle(rows)
        else:
            rows[row][column] = rng.choice(CELLS)
    return rows


def spoiled_bytes(rng: Random, raw: bytes) -> bytes:
    """The same with one to three spans changed, cut, doubled many times, or in another encoding; or another kind of file."""
    for _ in range(rng.randint(1, 3)):
        first = rng.randrange(len(raw) + 1)
        last = min(len(raw), first + rng.randrange(1, 40))
        change = rng.randrange(11)
        if change == 0:
            raw = raw[:first] + raw[last:]
        elif change == 1:
            raw = raw[:first] + raw[first:last] * rng.choice([2, 50, 3000]) + raw[last:]
        elif change == 2:
            raw = raw[:first]
        elif change == 3:
            raw = (
                raw[:first]
                + rng.choice(b"\0\r\n\t\"',;:{}[]&*#|>%@`- \xff\xc3".split(b"~"))[:20]
                + raw[first:]
            )
        elif change == 4:
            raw = raw[:first] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9))) + raw[last:]
        elif change == 5:
            raw = raw.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-8-sig", "utf-32"]))
        elif change == 6:
            raw = (
                rng.choice(
                    [
                        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
                        b"PK\3\4",
                        b"\x1f\x8b\x08\0",
                        b"%PDF-1.7\n",
                        b"\0" * 99,
                    ]
                )
                + raw
            )
        elif change == 7:
            raw = raw.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\n", b" ", b"\0"]))
        elif change == 8:
            raw = raw.replace(
                *rng.choice([(b",", b";"), (b",", b"\t"), (b" ", b"\t"), (b":", b"="), (b'"', b"'")])
            )
        elif change == 9:
            raw = raw[:first] + rng.choice(TEXTS).encode() + raw[first:]
        else:
            lines = raw.splitlines(keepends=True)
            rng.shuffle(lines)
            raw = b"".join(lines)
    return raw[: 2**20]
