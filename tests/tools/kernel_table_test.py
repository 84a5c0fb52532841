import sys
import unittest
import xml.etree.ElementTree as xml

from support import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import kernel_table  # noqa: E402
import roofline  # noqa: E402
from rounds import fastest  # noqa: E402


SHAPE = (5120, 8192)


def run(name, time, **counters):
    return {"run_type": "iteration", "run_name": name, "real_time": time, **counters}


def product(dtype, rows, gigabytes, operations, of_peak=0.5, threads=2):
    name = f"block_product/type:9/M:{rows}/K:5120/N:8192/threads:{threads}/min_time:0.2/real_time"
    return run(name, 1, time_unit="ms", label=dtype, of_peak=of_peak, of_read=0.5,
               **{"GB/s": gigabytes, "GOP/s": operations})


class KernelTable(unittest.TestCase):
    def setUp(self):
        runs = [product("q4_0", 1, 20, 70), product("q4_0", 512, 0.2, 450),
                product("q8_0", 1, 24, 45), product("q8_0", 1, 12, 20, threads=1)]
        self.runs = {r["run_name"] + r["label"]: r for r in runs}
        self.by_type = kernel_table.products(self.runs, 2)[SHAPE]

    def test_keeps_the_fastest_round_of_each_benchmark(self):
        mean = {**run("x", 1), "run_type": "aggregate"}
        found = fastest([run("corral::x", 3), run("corral::x", 2), run("y", 5), mean])
        self.assertEqual({name: r["real_time"] for name, r in found.items()}, {"x": 2, "y": 5})

    def test_has_a_row_for_every_type_and_a_dash_where_nothing_was_run(self):
        rows = kernel_table.product_table(self.by_type, SHAPE)[2:]
        self.assertEqual(rows, ["| q4_0 | 1 ms, 20.0 (50 %) | - | - | 1 ms, 450 (50 %) |",
                                "| q8_0 | 1 ms, 24.0 (50 %) | - | - | - |"])

    def test_takes_the_most_threads_and_keeps_shapes_apart(self):
        self.assertEqual(kernel_table.most_threads(self.runs), 2)
        self.assertEqual(list(kernel_table.products(self.runs, 1)[SHAPE]), ["q8_0"])
        self.assertEqual(kernel_table.products(self.runs, 3), {})

    def test_puts_the_peer_s_time_beside_products_of_the_same_shape(self):
        said = "".join(
            f"  MUL_MAT(type_a={dtype},type_b=f32,m={n},n={rows},k=5120,bs={bs},nr=[1,1],per=[0,1,2,3],"
            "k_v=0,o=1):   414 runs -  2760.86 us/run - 117.44 MFLOP/run - \x1b[1;34m 42.54 GFLOPS\x1b[0m\n"
            for dtype, n, rows, bs in (("q4_0", 8192, 512, "[1,1]"), ("q4_0", 4096, 1, "[1,1]"),
                                       ("q8_0", 8192, 512, "[2,1]")))
        peers = kernel_table.peer_times(said)
        self.assertEqual(peers, {(SHAPE, "q4_0", 512): 2.76086, ((5120, 4096), "q4_0", 1): 2.76086})
        table = kernel_table.product_table(self.by_type, SHAPE, peers)
        self.assertTrue(table[0].endswith("| 512 rows | llama.cpp, 512 rows |"), table[0])
        self.assertEqual(table[2], "| q4_0 | 1 ms, 20.0 (50 %) | - | - | 1 ms, 450 (50 %) | 2.76 ms (2.76) |")
        self.assertTrue(table[3].endswith("| - |"), table[3])

    def test_names_no_share_of_a_peak_that_the_machine_lacks(self):
        unknown = {"GOP/s": 80, "of_peak": 0, "real_time": 2, "time_unit": "us"}
        self.assertEqual(kernel_table.cell(unknown, 8), "0.002 ms, 80")

    def test_shows_the_share_of_attention(self):
        prompt = run("x", 3, time_unit="ms", of_peak=0.7, **{"FLOP/s": 2e11})
        token = {**prompt, "of_read": 0.4, "bytes_per_second": 2e10}
        table = kernel_table.attention_table(
            {"prefill/context:0/type:2/threads:2/real_time": prompt, "decode/kv_heads:8/type:0": token})
        self.assertEqual(table[2:], ["| decode, kv heads 8, f32 | 3 | 200.0 | 70 % | 20.0 | 40 % |",
                                     "| prefill, context 0, q8_0 | 3 | 200.0 | 70 % | | |"])

    def test_works_the_ceilings_out_of_rates_and_shares(self):
        self.assertEqual(kernel_table.ceilings(self.by_type), (48e9, 900e9))

    def test_draws_a_mark_for_every_product_below_the_roof(self):
        picture = roofline.draw(kernel_table.points(self.by_type), 48e9, 900e9)
        tree = xml.fromstring(picture)
        titles = [e.text for e in tree.iter("{http://www.w3.org/2000/svg}title")]
        self.assertEqual(titles, ["q4_0, 1 rows: 70 GOP/s", "q4_0, 512 rows: 450 GOP/s",
                                  "q8_0, 1 rows: 45 GOP/s"])
        self.assertIn("peak 900 GOP/s", picture)

    def test_draws_other_marks_when_the_colours_come_round_again(self):
        points = [(f"type{i:02}", 1, 2 + i, 1e11) for i in range(len(roofline.COLOURS) + 1)]
        tree = xml.fromstring(roofline.draw(points, 48e9, 900e9))
        space = "{http://www.w3.org/2000/svg}"
        last = [e for e in tree.iter(space + "rect") if e.find(space + "title") is not None]
        self.assertEqual([e.find(space + "title").text for e in last], ["type08, 1 rows: 100 GOP/s"])

    def test_draws_the_slope_alone_without_a_peak(self):
        picture = roofline.draw(kernel_table.points(self.by_type), 48e9, 0)
        self.assertNotIn("peak", picture)
        self.assertEqual(len(list(xml.fromstring(picture).iter(
            "{http://www.w3.org/2000/svg}polyline"))), 1)


if __name__ == "__main__":
    unittest.main()
