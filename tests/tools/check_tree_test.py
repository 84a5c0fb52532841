import subprocess
import unittest

from support import ToolTest

LATER = "TO" + "DO"


class CheckTree(ToolTest):
    def check(self):
        return self.run_tool("check_tree.py", self.root)

    def assert_clean(self):
        status, output = self.check()
        self.assertEqual(status, 0, output)
        self.assertIn("0 violations", output)
        return output

    def assert_violation(self, *expected):
        status, output = self.check()
        self.assertEqual(status, 1, output)
        for text in expected:
            self.assertIn(text, output)
        self.assertIn(f"{len(expected)} violations", output)

    def write_operation(self, name):
        self.write(f"src/ops/{name}/{name}.h", "#pragma once\n")
        self.write(f"tests/ops/{name}_test.cc")
        self.write(f"bench/ops/{name}_bench.cc")

    def test_passes_an_operation_with_test_and_benchmark(self):
        self.write_operation("rope")
        self.assert_clean()

    def test_catches_an_operation_without_test_or_benchmark(self):
        self.write_operation("rope")
        (self.root / "tests/ops/rope_test.cc").unlink()
        (self.root / "bench/ops/rope_bench.cc").unlink()
        self.assert_violation("src/ops/rope: tests/ops/rope_test.cc is missing",
                              "src/ops/rope: bench/ops/rope_bench.cc is missing")

    def test_catches_printing_ending_and_reading_the_environment(self):
        for call in ('std::cout << "x";', "std::cerr << 1;", 'printf("x");', 'std::fprintf(f, "x");',
                     'std::puts("x");', "exit(1);", "std::_Exit(1);", "std::abort();",
                     "std::terminate();", 'std::getenv("HOME");'):
            self.write("src/base/a.cc", f"void f() {{\n  {call}\n}}\n")
            with self.subTest(call):
                self.assert_violation("src/base/a.cc:2: ")

    def test_lets_comments_strings_and_names_speak_of_them(self):
        self.write("src/base/a.cc", '''
// Never call exit(1) or std::cout.
/* abort() */
const char* kText = "printf(\\"%d\\") exit(1)";
const char* kRaw = R"(getenv("x"))";
const int kLarge = 1'000'000;
void f(char* out) { snprintf(out, 3, "x"); on_exit_hook(); at.sexit(); }
''')
        self.assert_clean()

    def test_lets_the_command_line_print_and_exit(self):
        self.write("src/cli/main.cc", 'int main() { std::cout << getenv("HOME"); exit(0); }\n')
        self.assert_clean()

    def test_lets_vector_code_include_the_vector_and_kernel_headers(self):
        self.write("src/simd/vec.h", "#include <immintrin.h>\n")
        self.write("src/ops/rope/rope_kernel.h", "#include <cstdint>\n")
        self.write("src/ops/rope/rope_isa.cc",
                   '#include <cstring>\n#include "ops/rope/rope_kernel.h"\n#include "simd/vec.h"\n')
        self.write("tests/ops/rope_test.cc")
        self.write("bench/ops/rope_bench.cc")
        self.assert_clean()

    def test_catches_library_headers_in_vector_code_and_behind_it(self):
        self.write_operation("rope")
        self.write("src/ops/rope/rope_kernel.h", "#include <vector>\n")
        self.write("src/ops/rope/rope_tile.h", "#include <array>\n")
        self.write("src/ops/rope/rope_isa.cc", '#include "ops/rope/rope_kernel.h"\n'
                   '#include "tensor/tensor.h"\n#include <cmath>\n#include "ops/rope/rope_tile.h"\n')
        self.assert_violation("rope_kernel.h:1: vector code includes <vector>",
                              "rope_isa.cc:3: vector code includes <cmath>",
                              "rope_tile.h:1: vector code includes <array>",
                              'rope_isa.cc:2: vector code may include simd/vec.h, simd/tiles.h, *_kernel.h and ')

    def test_takes_files_with_tiles_for_vector_code(self):
        self.write_operation("rope")
        self.write("src/ops/rope/rope_amx.cc", '#include "simd/tiles.h"\n#include <vector>\n')
        self.assert_violation("rope_amx.cc:2: vector code includes <vector>")

    def test_catches_postponed_work_trailing_whitespace_and_missing_line_ends(self):
        self.write("docs/a.md", f"fine\n{LATER}: later\ntrailing \nlast")
        self.assert_violation("docs/a.md:2: postponed work", "docs/a.md:3: trailing whitespace",
                              "docs/a.md: the last line has no end")

    def test_catches_paths_of_a_machine(self):
        self.write("tools/a.py", 'open("/' + 'home/anna/model.gguf")\n')
        self.assert_violation("tools/a.py:1: names a path of somebody's machine")

    def test_catches_links_that_lead_nowhere(self):
        self.write("docs/a.md", "[gone](b.md) [up](../../outside.md)\n")
        self.assert_violation("the link to b.md leads nowhere",
                              "the link to ../../outside.md leads nowhere")

    def test_follows_links_that_lead_somewhere(self):
        self.write("README.md", "# Top\n")
        self.write("docs/a.md", '[a](../README.md#top "title") [b](https://example.org/x) [c](#here)\n'
                   "`[d](code)`\n```\n[e](block)\n```\n")
        self.assert_clean()

    def test_leaves_data_as_it_is(self):
        self.write("tests/data/golden.txt", f"{LATER} trailing ")
        self.write("tests/fuzz/corpus/json/seed.json", "{ ")
        self.assert_clean()

    def test_leaves_out_what_git_ignores(self):
        self.write(".gitignore", "/build/\n")
        self.write("build/a.txt", "trailing \n")
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.assert_clean()

    def test_reminds_of_long_files_and_functions_without_failing(self):
        lines = "  x();\n" * 100
        self.write("src/base/a.cc", "namespace a {\nstruct S {\n" + "  int i;\n" * 400 +
                   "};\nvoid long_one(int n) {\n" + lines + "}\nvoid short_one() {}\n}\n")
        output = self.assert_clean()
        self.assertIn("long: src/base/a.cc: 507 lines", output)
        self.assertIn("long: src/base/a.cc:404: 102 lines: void long_one(int n)", output)
        self.assertEqual(output.count("long:"), 2)


if __name__ == "__main__":
    unittest.main()
