#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "text/splitter.h"

namespace corral::text {
namespace {

// A file may bring a pattern that backtracks for ever: matching gives up after this many steps.
constexpr uint32_t kMatchLimit = 10'000'000;

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

std::string describe(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

class RegexSplitter final : public Splitter {
 public:
  explicit RegexSplitter(const std::string& pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &offset,
                              nullptr));
    if (!code_) {
      throw CorruptFile(str("tokenizer: the split pattern is not a regular expression: ",
                            describe(error), " at character ", offset));
    }
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // without it matching is only slower
    context_.reset(pcre2_match_context_create(nullptr));
    if (!context_) throw Error("tokenizer: no memory for the split pattern");
    pcre2_set_match_limit(context_.get(), kMatchLimit);
  }

  size_t piece_end(std::string_view text, size_t at) const override {
    const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
    if (!match) throw Error("tokenizer: no memory to split a text");
    size_t from = at;
    while (from < text.size()) {
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                    text.size(), from, 0, match.get(), context_.get());
      if (found == PCRE2_ERROR_NOMATCH) return text.size();
      if (found < 0) {
        throw Error(str("tokenizer: the split pattern failed on a text of ", text.size(),
                        " bytes: ", describe(found)));
      }
      const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.get());
      // What lies between two matches is a piece of its own; an empty match cuts nothing.
      if (ends[1] > ends[0]) return ends[0] > at ? ends[0] : ends[1];
      from = ends[1] + 1;
    }
    return text.size();
  }

 private:
  std::unique_ptr<pcre2_code, FreeCode> code_;
  std::unique_ptr<pcre2_match_context, FreeContext> context_;
};

}  // namespace

std::unique_ptr<const Splitter> make_regex_splitter(const std::string& pattern) {
  return std::make_unique<RegexSplitter>(pattern);
}

}  // namespace corral::text
