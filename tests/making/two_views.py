"""One folder through two clients of a network file system, each with its own cache and no lock that the other sees (sshfs)."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

SFTP = "/usr/lib/openssh/sftp-server"
CACHE_S = 3  # for which names and attributes are remembered, those that are not there too; of NFS it is up to a minute


def why_not():
    """Why there can be none here; empty where there can."""
    if sys.platform != "linux" or not os.access("/dev/fuse", os.W_OK):
        return "there is no /dev/fuse that may be used"
    missing = [name for name in ("sshfs", "fusermount3", SFTP) if shutil.which(name) is None]
    return f"{', '.join(missing)} is not here: apt install sshfs openssh-sftp-server" if missing else ""


@contextmanager
def two_views(root):
    """Two mounts of one folder."""
    (root / "shared").mkdir(parents=True)
    programs, views = [], [root / "one", root / "two"]
    try:
        for view in views:
            view.mkdir()
            programs += _mounted(root / "shared", view)
        yield views
    finally:
        for view in views:
            subprocess.run(["fusermount3", "-u", "-z", str(view)], check=False, capture_output=True)
        for program in programs:
            program.kill()
            program.wait()


def _mounted(folder, view):
    ours, theirs = socket.socketpair()
    options = f"passive,dcache_timeout={CACHE_S},dcache_stat_timeout={CACHE_S},dcache_dir_timeout={CACHE_S}"
    quiet = {"stderr": subprocess.DEVNULL, "start_new_session": True}
    server = subprocess.Popen([SFTP], stdin=ours, stdout=ours, **quiet)
    client = subprocess.Popen(
        ["sshfs", "-f", "-o", options, f":{folder}", str(view)], stdin=theirs, stdout=theirs, **quiet
    )
    ours.close()
    theirs.close()
    deadline = time.monotonic() + 20
    while not Path(view).is_mount():
        assert time.monotonic() < deadline, "it was not mounted"
        time.sleep(0.05)
    return [client, server]
