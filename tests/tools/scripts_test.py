import os
import shutil
import subprocess
import unittest

from support import ROOT, ToolTest


class Format(ToolTest):
    def setUp(self):
        super().setUp()
        if shutil.which("clang-format") is None:
            self.skipTest("clang-format is not installed (make setup-check)")
        for name in ("tools/format.sh", ".clang-format"):
            self.write(name)
            shutil.copy(ROOT / name, self.root / name)
        subprocess.run(["git", "init", "-q", self.root], check=True)

    def format(self, *arguments):
        return subprocess.run([self.root / "tools/format.sh", *arguments], capture_output=True,
                              text=True, check=False)

    def test_check_catches_a_badly_formatted_file_and_formatting_mends_it(self):
        source = self.write("src/base/a.cc", "int   f( ){return 1 ;}\n")
        self.assertNotEqual(self.format("--check").returncode, 0)
        self.assertEqual(source.read_text(), "int   f( ){return 1 ;}\n")
        self.assertEqual(self.format().returncode, 0)
        self.assertEqual(source.read_text(), "int f() { return 1; }\n")
        self.assertEqual(self.format("--check").returncode, 0)


class Fuzz(ToolTest):
    def add_target(self, name, script):
        self.write(f"build/{name}", "#!/bin/sh\n" + script).chmod(0o755)

    def test_runs_every_target_with_its_seeds(self):
        self.write("tests/fuzz/corpus/json_fuzz/seed")
        self.add_target("gguf_fuzz", 'echo "gguf $*" >>calls\n')
        self.add_target("json_fuzz", 'echo "json $*" >>calls\n')
        status, output = self.run_tool("fuzz.sh", "build", "5")
        self.assertEqual(status, 0, output)
        gguf, json = (self.root / "calls").read_text().splitlines()
        self.assertIn("-max_total_time=5 ", gguf)
        self.assertTrue(gguf.endswith("build/corpus/gguf_fuzz"))
        self.assertTrue(json.endswith("build/corpus/json_fuzz tests/fuzz/corpus/json_fuzz"))

    def test_fails_when_a_target_finds_something(self):
        self.add_target("gguf_fuzz", "exit 77\n")
        self.assertEqual(self.run_tool("fuzz.sh", "build", "5")[0], 77)

    def test_no_target_is_a_failure(self):
        (self.root / "build").mkdir()
        self.assertEqual(self.run_tool("fuzz.sh", "build", "5")[0], 1)


class ContinuousIntegration(ToolTest):
    TOOLS = ("format.sh", "check_floors.py", "check_tree.py", "tidy.py")

    def setUp(self):
        super().setUp()
        self.write(".ci/run")
        shutil.copy(ROOT / ".ci/run", self.root / ".ci/run")
        for tool in self.TOOLS:
            self.write(f"tools/{tool}", f"#!/bin/sh\necho {tool}\n").chmod(0o755)
        self.write_program("cmake", "echo cmake\n")
        self.make_prints("7 passed, 0 failed, 1 skipped", 0)

    def make_prints(self, line, status):
        self.write_program("make", f"""
case "$*" in *test*) echo building; echo "{line}"; exit {status};; esac
""")

    def run_ci(self):
        path = f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run([self.root / ".ci/run"], capture_output=True, text=True, check=False,
                              env={**os.environ, "PATH": path})
        return done.returncode, done.stdout, done.stdout.splitlines()[-1]

    def test_passes_when_every_stage_does_and_closes_with_the_counts(self):
        status, output, last = self.run_ci()
        self.assertEqual((status, last), (0, "7 passed, 0 failed, 1 skipped"), output)
        for tool in self.TOOLS:
            self.assertIn(tool, output)

    def test_fails_with_the_tests_and_still_runs_the_other_stages(self):
        self.make_prints("6 passed, 1 failed, 1 skipped", 1)
        status, output, last = self.run_ci()
        self.assertEqual((status, last), (1, "6 passed, 1 failed, 1 skipped"))
        self.assertIn("check_tree.py", output)
        self.assertIn("failed: test\n", output)

    def test_fails_with_any_other_stage(self):
        for tool in self.TOOLS:
            path = self.write(f"tools/{tool}", "#!/bin/sh\nexit 1\n")
            status, _, last = self.run_ci()
            self.assertEqual((status, last), (1, "7 passed, 0 failed, 1 skipped"), tool)
            path.write_text("#!/bin/sh\n")

    def test_a_build_that_fails_closes_with_no_test(self):
        self.make_prints("error: expected ';'", 2)
        status, _, last = self.run_ci()
        self.assertEqual((status, last), (1, "0 passed, 0 failed, 0 skipped"))


if __name__ == "__main__":
    unittest.main()
