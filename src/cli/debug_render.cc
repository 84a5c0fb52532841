#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/load_tokenizer.h"
#include "text/chat.h"
#include "text/chat_json.h"
#include "text/image_layout.h"

namespace corral::cli {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct RenderCommandOptions {
  std::string model;
  bool parse = false;
};

/// [rows, columns], or a number of tiles.
text::ImageGrid grid_of(const OrderedJson& entry) {
  if (entry.is_number_integer()) return text::guess_grid(entry.get<int64_t>());
  if (entry.is_array() && entry.size() == 2) {
    return {entry[0].get<int64_t>(), entry[1].get<int64_t>()};
  }
  throw UsageError("tiles_per_image has an entry that is neither a number nor [rows, columns]");
}

text::RenderOptions render_options(const OrderedJson& line) {
  text::RenderOptions options;
  options.add_generation_prompt = line.value("add_generation_prompt", true);
  const OrderedJson none;
  const OrderedJson format = line.value("tool_prompt_format", none);
  if (!format.is_null()) {
    options.tool_prompt_format = text::tool_prompt_format_from_string(format.get<std::string>());
  }
  const OrderedJson tools = line.value("tools", none);
  if (!tools.empty()) options.tools = tools.dump();
  for (const OrderedJson& entry : line.value("tiles_per_image", OrderedJson::array())) {
    options.images.push_back(grid_of(entry));
  }
  return options;
}

OrderedJson render(const text::ChatFormat& format, const OrderedJson& line) {
  if (!line.contains("messages")) throw UsageError("no \"messages\"");
  const auto messages = text::messages_from_json(line["messages"]);
  const auto prompt = format.render(messages, render_options(line));
  return {{"prompt", format.tokenizer().decode_text(prompt.ids)}, {"ids", prompt.ids}};
}

OrderedJson parse(const OrderedJson& line) {
  if (!line.contains("text")) throw UsageError("no \"text\"");
  return text::to_json(text::parse_assistant(line["text"].get<std::string>()));
}

}  // namespace

void add_debug_render(CLI::App& debug, Io& io) {
  auto options = std::make_shared<RenderCommandOptions>();
  CLI::App* command =
      debug.add_subcommand("render", "messages to a prompt, or an answer to its parts");
  command->add_option("model", options->model, kTokenizerHelp)->required();
  command->add_flag("--parse", options->parse, "answers to text and tool calls");
  command->footer(
      "One JSON object a line in, one out. In: \"messages\"; \"tools\"; \"tool_prompt_format\" "
      "(json,\n"
      "function_tag, python_list); \"tiles_per_image\" (numbers, the whole image included, or\n"
      "[rows, columns]); \"add_generation_prompt\". With --parse: \"text\"; out: \"content\",\n"
      "\"text_before_calls\", \"tool_calls\", \"stop_reason\".\n"
      "Examples:\n"
      "  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}' |\n"
      "    corral debug render models/tokenizer-4k\n"
      "  echo '{\"messages\": [], \"tools\": [{\"name\": \"rain\"}],"
      " \"tool_prompt_format\": \"python_list\"}' |\n"
      "    corral debug render models/tokenizer-4k\n"
      "  echo '{\"text\": \"Let me look. [rain(city=\\\"Oslo\\\")]<|eot|>\"}' |\n"
      "    corral debug render --parse models/tokenizer-4k");
  command->callback([options, &io] {
    const auto tokenizer = load_tokenizer(options->model);
    if (options->parse) {
      answer_json_lines(io, parse);
      return;
    }
    const text::ChatFormat format(tokenizer);
    answer_json_lines(io, [&](const OrderedJson& line) { return render(format, line); });
  });
}

}  // namespace corral::cli
