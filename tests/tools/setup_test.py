import unittest

from support import ROOT, ToolTest

# Everything is installed except what the test names in the file "missing".
DPKG_QUERY = '''
for package in "$@"; do :; done
if grep -qx "$package" missing; then exit 1; fi
printf installed
'''


class Setup(ToolTest):
    def setUp(self):
        super().setUp()
        self.write("missing")
        self.write_program("dpkg-query", DPKG_QUERY)
        self.write_program("apt-get", 'echo "apt-get $*" >>calls\n')
        self.write_program("id", "echo 0\n")

    def calls(self):
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def test_does_nothing_when_nothing_is_missing(self):
        self.assertEqual(self.run_tool("setup.sh"), (0, ""))
        self.assertEqual(self.calls(), [])

    def test_installs_only_what_is_missing(self):
        self.write("missing", "libzstd-dev\nclang-tidy\n")
        status, output = self.run_tool("setup.sh")
        self.assertEqual(status, 0, output)
        self.assertEqual(self.calls(), [
            "apt-get update -q",
            "apt-get install -q -y --no-install-recommends libzstd-dev clang-tidy"])

    def test_a_section_leaves_the_others_alone(self):
        self.write("missing", "libzstd-dev\nclang-tidy\n")
        self.assertEqual(self.run_tool("setup.sh", "build")[0], 0)
        self.assertTrue(self.calls()[-1].endswith("recommends libzstd-dev"))

    def test_uses_sudo_when_it_is_not_root(self):
        self.write("missing", "libzstd-dev\n")
        self.write_program("id", "echo 1000\n")
        self.write_program("sudo", 'echo sudo >>calls\nexec "$@"\n')
        self.assertEqual(self.run_tool("setup.sh")[0], 0)
        self.assertEqual(self.calls().count("sudo"), 2)

    def test_says_what_to_do_when_nobody_here_may_install(self):
        self.write("missing", "libzstd-dev\n")
        self.write_program("id", "echo 1000\n")
        status, output = self.run_tool("setup.sh", only=["dirname", "awk", "grep"])
        self.assertEqual(status, 1)
        self.assertIn("run as root: apt-get install --no-install-recommends libzstd-dev", output)
        self.assertEqual(self.calls(), [])

    def test_warns_and_goes_on_where_there_are_no_debian_packages(self):
        (self.root / "bin" / "apt-get").unlink()
        status, output = self.run_tool("setup.sh", only=["dirname"])
        self.assertEqual(status, 0)
        self.assertIn("not a Debian system", output)

    def test_fails_when_the_installation_fails(self):
        self.write("missing", "libzstd-dev\n")
        self.write_program("apt-get", "exit 100\n")
        self.assertEqual(self.run_tool("setup.sh")[0], 100)

    def test_refuses_a_section_that_is_not_there(self):
        status, output = self.run_tool("setup.sh", "everything")
        self.assertEqual(status, 2)
        self.assertIn("has no packages for 'everything'", output)

    def test_the_list_names_every_package_once(self):
        lines = (ROOT / "tools/packages.txt").read_text().splitlines()
        packages = [line.split()[0] for line in lines if line and line[0] not in "#["]
        self.assertGreater(len(packages), 20)
        self.assertEqual(len(packages), len(set(packages)))


if __name__ == "__main__":
    unittest.main()
