#include "cli/load_tokenizer.h"

#include "base/error.h"
#include "cli/common.h"
#include "io/gguf.h"
#include "model/gguf_checkpoint.h"
#include "text/tokenizer_files.h"

namespace corral::cli {

std::shared_ptr<const text::Tokenizer> load_tokenizer(const std::string& model) {
  const std::filesystem::path path = resolve_model(model);
  if (path.extension() != ".gguf") return text::load_tokenizer_files(path);
  auto tokenizer = model::gguf_tokenizer(io::GgufFile(path));
  if (!tokenizer) throw Error(str(path.string(), ": this file holds no tokenizer"));
  return tokenizer;
}

}  // namespace corral::cli
