import json
import unittest

from support import ROOT, ToolTest

CLANG_TIDY = '''
echo "$@" >>calls
case "$*" in *str_test.cc*|*random.cc*) echo "error: a global variable"; exit 1;; esac
'''


class Tidy(ToolTest):
    def setUp(self):
        super().setUp()
        self.write_program("clang-tidy", CLANG_TIDY)
        self.configure("src/base/file.cc", "src/base/file.cc", "src/base/json.cc")

    def configure(self, *sources):
        entries = [{"directory": str(self.root), "file": str(ROOT / source),
                    "command": f"/usr/bin/ccache /usr/bin/c++ -Werror -DN={i} -c {source}"}
                   for i, source in enumerate(sources)]
        entries.append({"directory": str(self.root), "file": "generated.cc", "command": "c++ -c x"})
        self.write("build/compile_commands.json", json.dumps(entries))

    def tidy(self, *arguments):
        (self.root / "calls").unlink(missing_ok=True)
        status, output = self.run_tool("tidy.py", "--build", "build", "-j", "1", *arguments)
        calls = self.root / "calls"
        return status, output, calls.read_text().splitlines() if calls.exists() else []

    def test_checks_each_source_of_ours_once(self):
        status, output, calls = self.tidy()
        self.assertEqual(status, 0, output)
        self.assertEqual([call.rsplit("/", 1)[1] for call in calls], ["file.cc", "json.cc"])
        self.assertIn("2 files, 0 with complaints", output)

    def test_gives_clang_only_options_that_it_knows(self):
        self.tidy()
        for entry in json.loads((self.root / "build/tidy/compile_commands.json").read_text()):
            self.assertRegex(entry["command"], "^/usr/bin/c[+][+] -DN")

    def test_fails_and_shows_what_clang_tidy_says(self):
        self.configure("src/base/random.cc", "src/base/file.cc")
        status, output, calls = self.tidy()
        self.assertEqual(status, 1)
        self.assertEqual(len(calls), 2)
        self.assertIn("src/base/random.cc:\nerror: a global variable", output)

    def test_names_select(self):
        _, _, calls = self.tidy(ROOT / "src/base/json.cc")
        self.assertEqual(len(calls), 1)
        self.assertIn("json.cc", calls[0])

    def test_begins_nothing_when_the_budget_is_spent_and_says_so(self):
        status, output, calls = self.tidy("--budget", "0")
        self.assertEqual((status, calls), (0, []))
        self.assertIn("2 left out for time", output)

    def test_nothing_to_check_is_a_failure(self):
        status, _, _ = self.tidy(ROOT / "src/nowhere")
        self.assertEqual(status, 1)


if __name__ == "__main__":
    unittest.main()
