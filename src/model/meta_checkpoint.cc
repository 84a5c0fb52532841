#include "model/meta_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <iomanip>
#include <sstream>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/names.h"
#include "io/torch_file.h"
#include "model/meta_names.h"

namespace corral::model {
namespace {

namespace fs = std::filesystem;
using Split = MetaTensor::Split;
using Parts = std::vector<std::unique_ptr<io::TorchFile>>;

constexpr int64_t kMaxParts = 100;  // two digits

fs::path part_path(const fs::path& dir, int64_t part) {
  std::ostringstream name;
  name << "consolidated." << std::setfill('0') << std::setw(2) << part << ".pth";
  return dir / std::move(name).str();
}

Parts open_parts(const fs::path& dir) {
  int64_t count = 0;
  for (int64_t i = 0; i < kMaxParts; ++i) {
    if (fs::exists(part_path(dir, i))) count = i + 1;
  }
  Parts parts;
  for (int64_t i = 0; i < count; ++i) {
    if (!fs::exists(part_path(dir, i))) {
      throw IoError(str(part_path(dir, i).string(), ": missing, but there is ",
                        part_path(dir, count - 1).filename().string(),
                        ": the download or the copy is not complete"));
    }
    parts.push_back(std::make_unique<io::TorchFile>(part_path(dir, i)));
  }
  return parts;
}

// Where the rows and columns of one tensor lie in each of P parts.
struct Slice {
  int64_t part_rows;  // of one group, of all tensors that share the native one
  int64_t first_row;  // of this one's
  int64_t rows;
  int64_t columns;
};

Slice slice_of(const MetaTensor& tensor, int64_t parts) {
  const int64_t by_rows = tensor.split == Split::kRows ? parts : 1;
  const int64_t by_columns = tensor.split == Split::kColumns ? parts : 1;
  return {.part_rows = (tensor.rows_before + tensor.rows + tensor.rows_behind) / by_rows,
          .first_row = tensor.rows_before / by_rows,
          .rows = tensor.rows / by_rows,
          .columns = tensor.columns / by_columns};
}

// The native shape of a part's tensor: vectors have one axis, stacks of experts two.
Shape part_shape(const MetaTensor& tensor, const Slice& slice) {
  if (tensor.shape.rank() == 1) return {slice.part_rows};
  if (tensor.transposed) return {slice.columns, slice.part_rows};
  return {tensor.groups * slice.part_rows, slice.columns};
}

void check_part(const MetaTensor& tensor, const io::TorchFile& part, const Parts& parts) {
  const auto count = static_cast<int64_t>(parts.size());
  if (!part.has(tensor.native)) {
    throw CorruptFile(str(part.origin(), ": tensor ", tensor.native, " is missing"));
  }
  const bool even = tensor.split == Split::kNone ||
                    (tensor.rows % count == 0 && tensor.rows_before % count == 0 &&
                     tensor.rows_behind % count == 0);
  if (tensor.split == Split::kColumns ? tensor.columns % count != 0 : !even) {
    throw CorruptFile(str(part.origin(), ": tensor ", tensor.native, " cannot lie in ", count,
                          " parts: is one missing or too many?"));
  }
  const io::TensorInfo& info = part.info(tensor.native);
  const Shape expected = part_shape(tensor, slice_of(tensor, count));
  if (!(info.shape == expected)) {
    throw CorruptFile(str(part.origin(), ": tensor ", tensor.native, " is ", info.shape,
                          ", params.json and ", count, count == 1 ? " part need " : " parts need ",
                          expected));
  }
  const std::string& type = parts.front()->info(tensor.native).type_name;
  if (!info.dtype || info.type_name != type) {
    throw CorruptFile(str(part.origin(), ": tensor ", tensor.native, " holds ", info.type_name,
                          info.dtype ? str(", the first part ", type) : ", which is no weight"));
  }
}

std::vector<io::TensorInfo> describe(const std::vector<MetaTensor>& tensors, const Parts& parts) {
  std::vector<io::TensorInfo> infos;
  for (const MetaTensor& tensor : tensors) {
    for (const auto& part : parts) check_part(tensor, *part, parts);
    const io::TensorInfo& native = parts.front()->info(tensor.native);
    infos.push_back({.name = tensor.name,
                     .dtype = native.dtype,
                     .type_name = native.type_name,
                     .shape = tensor.shape,
                     .size_bytes = bytes_of(*native.dtype, tensor.shape.numel())});
  }
  return infos;
}

Tensor transpose(const Tensor& x) {
  Tensor y({x.dim(1), x.dim(0)}, x.dtype(), x.device());
  const auto size = static_cast<size_t>(block_bytes(x.dtype()));
  const auto* from = x.data<std::byte>();
  auto* to = y.mutable_data<std::byte>();
  for (int64_t r = 0; r < x.dim(0); ++r) {
    for (int64_t c = 0; c < x.dim(1); ++c) {
      std::memcpy(to + static_cast<size_t>(c * x.dim(0) + r) * size,
                  from + static_cast<size_t>(r * x.dim(1) + c) * size, size);
    }
  }
  return y;
}

class MetaSource final : public io::WeightSource {
 public:
  MetaSource(std::string origin, std::vector<MetaTensor> recipes, Parts parts)
      : WeightSource(std::move(origin), describe(recipes, parts)),
        recipes_(std::move(recipes)),
        parts_(std::move(parts)) {}

  void forget_pages() const override {
    for (const auto& part : parts_) part->forget_pages();
  }

 private:
  bool merged(const MetaTensor& recipe) const {
    return recipe.split != Split::kNone && parts_.size() > 1;
  }

  Tensor read(size_t index, const DevicePtr& device) const override {
    const MetaTensor& recipe = recipes_[index];
    if (merged(recipe)) return merge(recipe, 0, recipe.shape[0], device);
    const Tensor native = parts_.front()->get(recipe.native, device);
    if (recipe.transposed) return transpose(native);
    if (recipe.groups > 1) return native.view(recipe.shape);
    return native.rows(recipe.rows_before, recipe.rows_before + recipe.rows).view(recipe.shape);
  }

  Tensor read_rows(size_t index, int64_t begin, int64_t end,
                   const DevicePtr& device) const override {
    const MetaTensor& recipe = recipes_[index];
    return merged(recipe) ? merge(recipe, begin, end, device)
                          : read(index, device).rows(begin, end);
  }

  // Rows [begin, end) of the first axis: whole groups of a stack, else rows of the only group.
  Tensor merge(const MetaTensor& recipe, int64_t begin, int64_t end,
               const DevicePtr& device) const {
    const bool stack = recipe.shape.rank() == 3;
    const int64_t first_group = stack ? begin : 0;
    const int64_t groups = stack ? end - begin : 1;
    const int64_t first_row = stack ? 0 : begin;
    const int64_t rows = stack ? recipe.rows : end - begin;
    Tensor out(stack ? Shape{groups, rows, recipe.columns}
                     : (recipe.shape.rank() == 2 ? Shape{rows, recipe.columns} : Shape{rows}),
               *parts_.front()->info(recipe.native).dtype, device);
    const auto size = block_bytes(out.dtype());
    const Slice slice = slice_of(recipe, static_cast<int64_t>(parts_.size()));
    auto* to = out.mutable_data<std::byte>();
    int64_t part_row = 0;  // of the whole, that the part begins with; and its column
    int64_t part_column = 0;
    for (const auto& part : parts_) {
      const int64_t low = std::max(first_row, part_row);
      const int64_t count = std::min(first_row + rows, part_row + slice.rows) - low;
      const Tensor native = part->get(recipe.native, device);
      const auto* from = native.data<std::byte>();
      // Runs of rows over all groups; each is a few kilobytes.
      device->threads().parallel_for(
          groups * std::max<int64_t>(0, count), 64, [&](int64_t run_begin, int64_t run_end) {
            for (int64_t i = run_begin; i < run_end; ++i) {
              const int64_t group = i / count;
              const int64_t row = low + i % count;
              const int64_t source =
                  (first_group + group) * slice.part_rows + slice.first_row + row - part_row;
              const int64_t target = group * rows + row - first_row;
              std::memcpy(to + (target * recipe.columns + part_column) * size,
                          from + source * slice.columns * size,
                          static_cast<size_t>(slice.columns * size));
            }
          });
      if (recipe.split == Split::kRows) part_row += slice.rows;
      if (recipe.split == Split::kColumns) part_column += slice.columns;
    }
    return out;
  }

  std::vector<MetaTensor> recipes_;
  Parts parts_;
};

}  // namespace

bool is_meta_checkpoint(const fs::path& dir) {
  std::error_code ignored;
  return fs::exists(dir / "params.json", ignored) && !fs::exists(dir / "config.json", ignored);
}

std::unique_ptr<io::WeightSource> open_meta_checkpoint(const fs::path& dir, const Config& config) {
  Parts parts = open_parts(dir);
  if (parts.empty()) {
    throw IoError(str(part_path(dir, 0).string(), ": missing, but there is a params.json"));
  }
  return std::make_unique<MetaSource>(dir.string(), meta_tensors(config), std::move(parts));
}

}  // namespace corral::model
