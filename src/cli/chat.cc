#include "text/chat.h"

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/generation_options.h"
#include "cli/image_options.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/speculation_options.h"
#include "engine/image_prompt.h"
#include "engine/session.h"

namespace corral::cli {
namespace {

constexpr const char* kChatHelp =
    "/help            this list\n"
    "/reset           forget the conversation\n"
    "/image FILE      show a picture with the next message\n"
    "/video FILE      show frames of a video with the next message\n"
    "/system TEXT     set the system prompt and start again; without TEXT, remove it\n"
    "/save FILE       write the conversation as JSON\n"
    "/quit            leave (Ctrl-D does it too)\n"
    "Ctrl-C stops an answer.\n";

// A text as a string; with pictures a list, as OpenAI's API has it.
nlohmann::ordered_json content_json(const text::ChatMessage& message) {
  if (message.content.size() == 1) return message.content.front().text;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const text::ContentItem& item : message.content) {
    if (item.kind == text::ContentItem::Kind::kText) {
      list.push_back({{"type", "text"}, {"text", item.text}});
    } else {
      list.push_back({{"type", "image_url"}, {"image_url", {{"url", item.text}}}});
    }
  }
  return list;
}

struct ChatOptions {
  std::string model;
  GenerationOptions generation;
  ImageOptions images;
  SpeculationOptions speculation;
  LoadOptions load;
  MachineOptions machine;
};

class Chat {
 public:
  Chat(const ChatOptions& options, Io& io)
      : io_(io),
        loaded_(load_model(options.model, options.machine.device(options.model), options.load,
                           options.images.mmproj(), &io)),
        format_(loaded_.need_tokenizer()),
        session_(loaded_.model, loaded_.tokenizer, forward_options(options.generation),
                 engine::kPieceTokens, options.generation.kv_types()),
        speculation_(options.speculation.make(loaded_, forward_options(options.generation))),
        generate_(options.generation.generate()),
        images_(options.images),
        pictures_(loaded_, options.generation.precision(), images_.most()),
        system_(options.generation.system) {
    start_again();
    for (const std::string& file : images_.files()) next_.push_back(pictures_.show(file));
    if (!images_.video().empty()) show_video(images_.video());
  }

  void run() {
    LineEditor editor(io_);
    if (io_.terminal) io_.out << loaded_.name << ": type a message, or /help\n" << std::flush;
    const auto next_line = [&] {
      interrupt_.clear();  // before the line: what comes right behind it is for the answer
      return editor.read("> ");
    };
    while (const auto line = next_line()) {
      if (line->empty()) continue;
      if (line->front() != '/') {
        answer(*line);
      } else if (!command(*line)) {
        return;
      }
    }
    if (io_.terminal) io_.out << '\n';
  }

 private:
  static model::ForwardOptions forward_options(const GenerationOptions& generation) {
    model::ForwardOptions options;
    options.precision = generation.precision();
    return options;
  }

  void start_again() {
    messages_.clear();
    next_.clear();
    pictures_.keep(0);
    if (!system_.empty()) messages_.push_back(text::text_message("system", system_));
  }

  void answer(const std::string& message) {
    next_.push_back({text::ContentItem::Kind::kText, message});
    messages_.push_back({.role = "user", .content = std::exchange(next_, {})});
    const auto prompt = engine::chat_prompt(format_, messages_, pictures_.shown());
    const auto show = [&](std::string_view part) {
      io_.out << part << std::flush;
      return !interrupt_.requested();
    };
    const engine::Answer answer =
        session_.generate(prompt, generate_, show, speculation_.speculator.get());
    interrupt_.clear();
    io_.out << '\n' << std::flush;
    // Each answer of a conversation draws its own random numbers.
    ++generate_.sampling.seed;
    messages_.push_back(text::text_message("assistant", answer.text));
  }

  // False: leave.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == line.npos ? "" : line.substr(space + 1);
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/help") {
      io_.out << kChatHelp << std::flush;
    } else if (name == "/reset") {
      start_again();
    } else if (name == "/image") {
      show(name, rest, [&] { next_.push_back(pictures_.show(rest)); });
    } else if (name == "/video") {
      show(name, rest, [&] { show_video(rest); });
    } else if (name == "/system") {
      system_ = rest;
      start_again();
    } else if (name == "/save") {
      save(rest);
    } else {
      io_.err << "no command " << name << ": /help lists them\n" << std::flush;
    }
    return true;
  }

  void show_video(const std::string& file) {
    for (auto& item : pictures_.show_video(file, images_)) next_.push_back(std::move(item));
  }

  void show(const std::string& command, const std::string& file,
            const std::function<void()>& show_it) {
    if (file.empty()) {
      io_.err << command << " needs a file name\n" << std::flush;
      return;
    }
    try {
      show_it();
    } catch (const Error& error) {  // a wrong name is no reason to lose the conversation
      io_.err << error.what() << '\n' << std::flush;
    }
  }

  void save(const std::string& path) {
    if (path.empty()) {
      io_.err << "/save needs a file name\n" << std::flush;
      return;
    }
    nlohmann::ordered_json messages = nlohmann::ordered_json::array();
    for (const text::ChatMessage& message : messages_) {
      messages.push_back({{"role", message.role}, {"content", content_json(message)}});
    }
    const nlohmann::ordered_json json = {{"model", loaded_.name}, {"messages", messages}};
    try {
      write_file_atomically(path, json.dump(2) + "\n");
      io_.out << "saved to " << path << '\n' << std::flush;
    } catch (const IoError& error) {  // a wrong name is no reason to lose the conversation
      io_.err << error.what() << '\n' << std::flush;
    }
  }

  Io& io_;
  Interrupt interrupt_;
  model::LoadedModel loaded_;
  text::ChatFormat format_;
  engine::Session session_;
  Speculation speculation_;
  engine::GenerateOptions generate_;
  const ImageOptions& images_;
  Pictures pictures_;
  std::vector<text::ContentItem> next_;  // pictures that wait for the next message
  std::string system_;
  std::vector<text::ChatMessage> messages_;
};

}  // namespace

void add_chat_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* command = app.add_subcommand("chat", "talk with a model in the terminal");
  command->add_option("model", options->model, kModelHelp)->required();
  options->generation.add_to(*command);
  options->speculation.add_to(*command);
  options->images.add_to(*command);
  options->images.add_video_to(*command);
  options->load.add_to(*command);
  options->machine.add_to(*command);
  command->footer(str("In the chat:\n", kChatHelp,
                      "Example:\n  corral chat llama-scout-mini --system \"Answer briefly.\""));
  command->callback([options, &io] { Chat(*options, io).run(); });
}

}  // namespace corral::cli
