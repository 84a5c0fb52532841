#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/matmul/block_kernel.h"
#include "ops/matmul/matmul.h"
#include "tensor/read_ahead.h"

namespace corral::ops {

/// One product of block_matmul(): its kernel, its rows of A as bytes, and the pieces that it is cut
/// into for the threads.
struct BlockJob {
  const Product* product;
  BlockKernel kernel;
  bool unpacks;  // B, or reads it as it lies
  BlockRows a;
  std::ptrdiff_t a_of;  // the first job with the same rows of A
  int64_t run_columns;
  int64_t stretches;  // of a run of columns: a piece each,
  int64_t halvings;   // and so many more in the last, each half as long as the one before
  Reach reach;        // of B, with a single row of A

  int64_t m() const { return product->c_MN.rows; }
  int64_t n() const { return product->c_MN.cols; }
  int64_t groups() const { return product->a_MK.cols / kGroup; }
  int64_t quads() const { return (groups() + kQuadGroups - 1) / kQuadGroups; }
  int64_t pieces_of_run() const { return stretches + halvings; }
  int64_t runs() const { return (n() + run_columns - 1) / run_columns; }
  int64_t b_bytes() const;
  /// Whether reading B takes longest.
  bool waits_for_b() const;
  /// Memory that multiply() needs.
  int64_t scratch_bytes() const { return unpacks ? kernel.panels.scratch_bytes(m(), quads()) : 0; }

  /// Chooses the pieces for so many threads; runs of as many columns as the job that this one's
  /// result is joined with, if any.
  void cut(int64_t threads, const BlockJob* joined);
  /// Whether both multiply the same rows of A.
  bool shares_a(const BlockJob& other) const;
  /// Memory of A as bytes, with its sums and scales, and room behind for tiles that read whole
  /// vectors of them.
  int64_t a_bytes() const;
  void place_a(std::byte* at);
  void quantize_a(Device& device) const;
  /// Makes the last stretch of each run several pieces.
  void taper();
  void multiply(int64_t run, int64_t piece_of_run, std::byte* scratch) const;
  Area area(int64_t run) const;

 private:
  int64_t columns_of_run(int64_t threads) const;
  int64_t run_bytes() const;
  /// Where a piece begins among the parts of a run.
  int64_t first_part(int64_t piece) const;
  RowOrder order() const;
  int64_t quad_bytes() const { return unpacks ? kernel.panels.quad_bytes : kQuad; }
  void quantize_rows(int64_t begin, int64_t end, const BlockRows& to) const;
  void clear_places_behind() const;
};

/// The jobs of the products that have something to write, of which the results of so many after one
/// another are joined. Throws NotSupported for types and layouts that no kernel reads.
std::vector<BlockJob> block_jobs(Device& device, std::span<const Product> products,
                                 size_t products_of_task);

}  // namespace corral::ops
