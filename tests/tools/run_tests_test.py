import unittest

from support import ToolTest

PASSED = '<testcase name="a" status="run" time="0.5"><system-out>fine</system-out></testcase>'
FAILED = '<testcase name="b" status="fail" time="0.1"><system-out>1 is not 2</system-out></testcase>'
SKIPPED = ('<testcase name="c" status="notrun" time="0">'
           '<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>'
           "<system-out>c_test.cc:3: Skipped\nno such processor\n</system-out></testcase>")
NOT_THERE = ('<testcase name="d" status="notrun" time="0">'
             '<skipped message="Required Files Missing"/></testcase>')


class RunTests(ToolTest):
    def run_with(self, *cases, status=0):
        """Runs the tool against a ctest that reports these cases."""
        self.write("results.xml", f"<testsuite>{''.join(cases)}</testsuite>")
        self.write_program("ctest", f'''
while [ "$1" != --output-junit ]; do shift; done
[ -s results.xml ] && cp results.xml "$2"
exit {status}
''')
        (self.root / "build").mkdir(exist_ok=True)
        code, output = self.run_tool("run_tests.py", "build")
        return code, output, output.splitlines()[-1]

    def test_counts_and_closes_with_the_counts_alone_on_a_line(self):
        status, output, last = self.run_with(PASSED, PASSED, SKIPPED)
        self.assertEqual((status, last), (0, "2 passed, 0 failed, 1 skipped"))
        self.assertIn("skipped c: no such processor", output)
        self.assertNotIn("fine", output)

    def test_shows_what_a_failing_test_printed(self):
        status, output, last = self.run_with(PASSED, FAILED, status=8)
        self.assertEqual((status, last), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("FAILED b\n1 is not 2", output)

    def test_a_test_that_could_not_run_has_failed(self):
        status, _, last = self.run_with(PASSED, NOT_THERE)
        self.assertEqual((status, last), (1, "1 passed, 1 failed, 0 skipped"))

    def test_no_test_at_all_is_a_failure(self):
        status, _, last = self.run_with()
        self.assertEqual((status, last), (1, "0 passed, 0 failed, 0 skipped"))

    def test_a_failure_of_ctest_itself_is_a_failure(self):
        status, output, _ = self.run_with(PASSED, status=1)
        self.assertEqual(status, 1)
        self.assertIn("ctest itself failed", output)

    def test_results_of_an_earlier_run_do_not_count(self):
        self.write("build/test-results.xml", f"<testsuite>{PASSED}</testsuite>")
        self.write_program("ctest", "exit 1\n")
        self.assertEqual(self.run_tool("run_tests.py", "build")[0], 1)


if __name__ == "__main__":
    unittest.main()
