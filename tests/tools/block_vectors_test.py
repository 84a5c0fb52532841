import subprocess
import sys
import unittest

from support import ROOT


class BlockVectors(unittest.TestCase):
    def test_the_committed_vectors_are_those_of_the_script(self):
        script = ROOT / "tools/make_block_vectors.py"
        made = subprocess.run([sys.executable, "-B", script], capture_output=True, text=True,
                              check=True).stdout
        self.assertEqual(made, (ROOT / "tests/data/quant/blocks.txt").read_text())


if __name__ == "__main__":
    unittest.main()
