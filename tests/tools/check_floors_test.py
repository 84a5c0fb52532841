import unittest

from support import ROOT, ToolTest

FLOORS = """
0 base
1 tensor
2 model experts   # a comment
allow model experts
"""


class CheckFloors(ToolTest):
    def setUp(self):
        super().setUp()
        self.write("docs/floors.txt", FLOORS)
        self.write("src/base/error.h", "#pragma once\n#include <string>\n")
        self.write("src/tensor/tensor.h", '#include "base/error.h"\n')
        self.write("src/model/model.h", '#include "experts/source.h"\n')
        self.write("src/experts/source.h", '#include "tensor/tensor.h"\n')

    def check(self):
        return self.run_tool("check_floors.py", self.root)

    def assert_violation(self, expected):
        status, output = self.check()
        self.assertEqual(status, 1, output)
        self.assertIn(expected, output)

    def test_passes_a_tree_that_only_looks_down_or_where_it_is_allowed(self):
        status, output = self.check()
        self.assertEqual(status, 0, output)
        self.assertIn("0 violations", output)

    def test_catches_an_include_from_a_higher_floor(self):
        self.write("src/base/file.cc", '\n#include "tensor/tensor.h"\n')
        self.assert_violation('src/base/file.cc:2: may not include "tensor/tensor.h": '
                              "base is on floor 0 and tensor on floor 1")

    def test_catches_an_include_from_the_side_that_is_not_allowed(self):
        self.write("src/experts/cache.cc", '#include "model/model.h"\n')
        self.assert_violation('src/experts/cache.cc:1: may not include "model/model.h"')

    def test_catches_a_folder_without_a_floor(self):
        self.write("src/utilities/all.h")
        self.assert_violation("the folder utilities has no floor")

    def test_catches_a_relative_include(self):
        self.write("src/tensor/shape.h", '#  include "../base/error.h"\n')
        self.assert_violation('"../base/error.h" names no file')

    def test_catches_a_missing_header(self):
        self.write("src/tensor/shape.h", '#include "base/missing.h"\n')
        self.assert_violation('"base/missing.h" names no file')

    def test_catches_a_circle(self):
        self.write("src/tensor/a.h", '#include "tensor/b.h"\n')
        self.write("src/tensor/b.h", '#include "tensor/a.h"\n')
        self.assert_violation("src/tensor/a.h -> src/tensor/b.h -> src/tensor/a.h")

    def test_refuses_a_floors_file_that_it_cannot_read(self):
        for line in ("ground base", "0", "allow model", "allow model tensor", "allow model nobody"):
            self.write("docs/floors.txt", FLOORS + line + "\n")
            status, output = self.check()
            self.assertEqual(status, 1, line)
            self.assertIn("floors.txt", output)

    def test_knows_every_folder_of_this_repository(self):
        floors = (ROOT / "docs" / "floors.txt").read_text()
        for folder in (path.name for path in (ROOT / "src").iterdir() if path.is_dir()):
            self.assertRegex(floors, rf"(?m)^\d.*\b{folder}\b")


if __name__ == "__main__":
    unittest.main()
