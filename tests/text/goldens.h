#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "support/paths.h"
#include "text/tokenizer_files.h"

namespace corral::test {

inline nlohmann::ordered_json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::ordered_json::parse(in);
}

/// Meta's own tokenizer, whose license keeps it out of the repository; null where it is absent.
inline std::shared_ptr<const text::Tokenizer> llama4_tokenizer() {
  static const std::shared_ptr<const text::Tokenizer> tokenizer =
      shared_dir() ? text::load_tokenizer_files(*shared_dir() / "goldens/tokenizer/tokenizer.model")
                   : nullptr;
  return tokenizer;
}

inline constexpr const char* kNoLlama4Tokenizer =
    "needs ../shared/goldens/tokenizer/tokenizer.model, which may not be in the repository";

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace corral::test
