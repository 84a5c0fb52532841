"""What the tests of the tools share: a throw-away repository and a way to run a tool in it."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class ToolTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, name, text=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write_program(self, name, script):
        """A stand-in for a program of the system, in a folder that run() puts first in PATH."""
        self.write(f"bin/{name}", "#!/bin/sh\n" + script).chmod(0o755)

    def run_tool(self, tool, *arguments, only=None):
        """Returns (exit status, standard output and error together). With only=[program, ...] the
        tool finds just these programs of the system and the stand-ins."""
        command = [str(ROOT / "tools" / tool), *map(str, arguments)]
        if tool.endswith(".py"):
            command.insert(0, sys.executable)
        path = str(self.root / "bin")
        if only is None:
            path += os.pathsep + os.environ["PATH"]
        for program in only or []:
            (self.root / "bin" / program).symlink_to(shutil.which(program))
        done = subprocess.run(command, cwd=self.root, env={**os.environ, "PATH": path}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout
