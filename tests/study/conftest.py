"""What several tests of this floor need."""

import subprocess
import sys

import pytest


@pytest.fixture
def killed_while_writing():
    """Kill a process in the middle of writing a file."""

    def kill(path):
        code = (
            "import os, signal; from pathlib import Path; from foldwise.study.files import written_whole\n"
            f"with written_whole(Path({str(path)!r})) as scratch:\n"
            "    scratch.write_text('{\"vers'); os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=200).returncode == -9

    return kill
