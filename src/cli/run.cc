#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/form_options.h"
#include "cli/generation_options.h"
#include "cli/image_options.h"
#include "cli/interrupt.h"
#include "cli/speculation_options.h"
#include "engine/image_prompt.h"
#include "engine/session.h"

namespace corral::cli {
namespace {

struct RunOptions {
  std::string model;
  std::string prompt;
  bool chat = false;
  bool json = false;
  GenerationOptions generation;
  FormOptions form;
  ImageOptions images;
  SpeculationOptions speculation;
  LoadOptions load;
  MachineOptions machine;
};

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

nlohmann::ordered_json answer_json(const engine::Answer& answer, bool speculated) {
  const auto tokens = static_cast<double>(answer.tokens.size());
  nlohmann::ordered_json json;
  json["text"] = answer.text;
  json["tokens"] = answer.tokens;
  json["finish_reason"] = engine::finish_reason_name(answer.reason);
  json["prompt_tokens"] = answer.prompt_tokens;
  json["timings"] = {
      {"prefill_seconds", answer.prefill_seconds},
      {"decode_seconds", answer.decode_seconds},
      {"decode_tps", answer.decode_seconds > 0 ? tokens / answer.decode_seconds : 0}};
  if (speculated) {
    json["speculation"] = {{"steps", answer.speculation.steps},
                           {"drafted", answer.speculation.drafted},
                           {"accepted", answer.speculation.accepted}};
  }
  return json;
}

// The prompt as a chat's first message or as text to continue, pictures before the words.
engine::Prompt make_prompt(const RunOptions& options, const model::LoadedModel& loaded,
                           const std::string& words) {
  const auto& tokenizer = loaded.need_tokenizer();
  if (!options.chat && options.images.files().empty() && options.images.video().empty()) {
    return {.tokens = tokenizer->encode(words, {.bos = true})};
  }
  Pictures pictures(loaded, options.generation.precision(), options.images.most());
  std::vector<text::ContentItem> content;
  for (const std::string& file : options.images.files()) content.push_back(pictures.show(file));
  if (!options.images.video().empty()) {
    for (auto& item : pictures.show_video(options.images.video(), options.images))
      content.push_back(std::move(item));
  }
  content.push_back({text::ContentItem::Kind::kText, words});
  const text::ChatFormat format(tokenizer);
  if (!options.chat) return engine::completion_prompt(format, content, pictures.shown());
  std::vector<text::ChatMessage> messages;
  if (!options.generation.system.empty()) {
    messages.push_back(text::text_message("system", options.generation.system));
  }
  messages.push_back({.role = "user", .content = content});
  return engine::chat_prompt(format, messages, pictures.shown());
}

void run_model(const RunOptions& options, Io& io) {
  const DevicePtr device = options.machine.device(options.model);
  const auto loaded = load_model(options.model, device, options.load, options.images.mmproj(), &io);
  const std::string prompt = options.prompt == "-" ? read_all(io.in) : options.prompt;
  const engine::Prompt tokens = make_prompt(options, loaded, prompt);
  model::ForwardOptions forward;
  forward.precision = options.generation.precision();
  engine::Session session(loaded.model, loaded.tokenizer, forward, engine::kPieceTokens,
                          options.generation.kv_types());
  const Speculation speculation = options.speculation.make(loaded, forward);
  const Interrupt interrupt;
  const auto show = [&](std::string_view part) {
    if (!options.json) io.out << part << std::flush;
    return !interrupt.requested();
  };
  engine::GenerateOptions generate = options.generation.generate();
  generate.constraint = options.form.constraint(loaded.need_tokenizer());
  const engine::Answer answer =
      session.generate(tokens, generate, show, speculation.speculator.get());
  if (options.json) {
    io.out << answer_json(answer, options.speculation.any()).dump() << '\n';
  } else {
    io.out << '\n';
  }
}

}  // namespace

void add_run_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "one answer to one prompt");
  command->add_option("model", options->model, kModelHelp)->required();
  command->add_option("-p,--prompt", options->prompt, "text to continue; - reads standard input")
      ->required();
  command->add_flag("--chat", options->chat,
                    "the prompt is a user's message, answered in chat format");
  command->add_flag("--json", options->json, "text, token ids, finish reason and timings as JSON");
  options->generation.add_to(*command);
  options->speculation.add_to(*command);
  options->form.add_to(*command);
  options->images.add_to(*command);
  options->images.add_video_to(*command);
  options->load.add_to(*command);
  options->machine.add_to(*command);
  command->footer(
      "Examples:\n"
      "  corral run llama-scout-mini -p \"Once upon a time\" -n 200 --seed 3\n"
      "  corral run llama-scout-mini --chat -p \"Tell me a joke\" --temp 0 --json\n"
      "  corral run scout.gguf --chat -p - < edit_this_file.txt\n"
      "  corral run scout.gguf --chat -p \"Two cities as JSON\" --json-schema cities.json\n"
      "  corral run scout.gguf --chat --image photo.jpg -p \"What is this?\"\n"
      "  corral run scout.gguf --chat --video clip.mp4 --frames 6 -p \"What happens?\"");
  command->callback([options, &io] { run_model(*options, io); });
}

}  // namespace corral::cli
