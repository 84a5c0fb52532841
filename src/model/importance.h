#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/forward.h"
#include "model/text_model.h"

namespace corral::model {

/// How much each input column of each weight matters for the text that a model was shown: the mean
/// square of what the column is multiplied with, apart for every routed expert. Names are those of
/// GGUF files. docs/formats/imatrix.md
class Importance {
 public:
  struct Entry {
    int64_t columns = 0;
    std::vector<double> sums;    // of squares, [matrices, columns]
    std::vector<double> counts;  // of rows, [matrices]
  };

  std::map<std::string, Entry, std::less<>> entries;
  int64_t tokens = 0;                 // of text
  std::vector<std::string> datasets;  // the names of the text's files

  /// The importances of the columns of matrix `index` of a tensor; those of the whole stack for an
  /// expert that no token was routed to. Empty when nothing is known of the tensor. Throws
  /// UsageError when the entry is of a tensor of another shape.
  std::vector<float> columns(std::string_view tensor, int64_t index, const Shape& shape) const;
};

/// Collects importances while a model works: its ForwardOptions::inputs. Sums are in double and in
/// the order of the rows, the same for any number of threads.
class ImportanceCollector final : public InputObserver {
 public:
  /// The model must outlive it.
  explicit ImportanceCollector(const TextModel& model);

  void input(std::span<const quant::LinearWeight* const> weights, const Tensor& x_NK,
             std::span<const int64_t> offsets_E) override;

  Importance importance;

 private:
  std::map<const quant::LinearWeight*, Importance::Entry*> entry_of_;
};

/// Writes and reads the form of llama.cpp's `llama-imatrix`. Reading throws IoError, and
/// CorruptFile for what is no such file, naming the tensor that is wrong.
void save_importance(const std::filesystem::path& path, const Importance& importance);
Importance load_importance(const std::filesystem::path& path);

}  // namespace corral::model
