"""What disks, hands and systems do to files: bit rot, cut copies, and what they leave in folders that are not theirs."""


def flip(path, at=0.6):
    """Flip one bit of one byte; the size stays."""
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def delete(path):
    path.unlink()


DAMAGES = {damage.__name__: damage for damage in (flip, truncate, empty, delete)}
FOREIGN = (
    ".DS_Store",
    "._result.json",
    ".nfs000000000000001",
    ".~lock.scores.csv#",
    "Thumbs.db",
    "desktop.ini",
    "result.json~",
    "#plan.json#",
    "plan.json.bak",
    "index.json.swp",
)


def litter(root):
    """Put every foreign file into every folder of `root`, and a folder of that kind into each."""
    for folder in [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]:
        for name in FOREIGN:
            (folder / name).write_bytes(b"\0not ours\xff{")
        (folder / ".Trashes").mkdir()
        (folder / ".Trashes" / "result.json").write_text("{")
