// /slots: sessions that are saved and restored
#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/encoding.h"
#include "engine/session_file.h"
#include "serve/api_error.h"
#include "serve/endpoints.h"

namespace corral::serve {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPath = "/slots/";
constexpr size_t kLongestName = 128;

int64_t slot_of(const std::string& path) {
  const std::string_view text = std::string_view(path).substr(kPath.size());
  int64_t slot = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slot);
  if (error != std::errc() || end != text.data() + text.size() || slot < 0 ||
      static_cast<double>(slot) > number::kIdSlot.high) {
    throw ApiError(404, str("the slot '", text.substr(0, 20), "' is no number from 0 to ",
                            static_cast<int64_t>(number::kIdSlot.high)));
  }
  return slot;
}

// "" when the query does not have it.
std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view field = query.substr(0, end);
    if (field.starts_with(name) && field.substr(name.size()).starts_with('=')) {
      return percent_decode(field.substr(name.size() + 1));
    }
    query.remove_prefix(end == query.npos ? query.size() : end + 1);
  }
  return "";
}

// A file's name and nothing else: no way out of the folder, nothing hidden.
bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= kLongestName && name.front() != '.' &&
         !name.ends_with(".partial") && std::all_of(name.begin(), name.end(), plain);
}

// Each client has a folder of its own, named by its name's bytes.
fs::path folder_of(const SessionOptions& options, const std::string& client) {
  return client.empty() ? options.folder : options.folder / ("client-" + to_hex(client));
}

fs::path file_of(const SessionOptions& options, const std::string& client, const Fields& fields) {
  if (options.folder.empty()) {
    throw ApiError(501, "this server saves no sessions: it runs without --slot-save-path");
  }
  const std::string name = fields.text("filename").value_or("");
  if (!is_plain_name(name)) {
    fields.fail("filename", "needs letters, digits, '.', '-' and '_', at most 128, no '.' first");
  }
  return folder_of(options, client) / name;
}

int64_t bytes_below(const fs::path& folder) {
  int64_t bytes = 0;
  std::error_code ignored;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(folder, ignored)) {
    if (file.is_regular_file(ignored)) bytes += static_cast<int64_t>(file.file_size(ignored));
  }
  return bytes;
}

OrderedJson reply_of(int64_t slot, const fs::path& file) {
  OrderedJson json;
  json["id_slot"] = slot;
  json["filename"] = file.filename().string();
  return json;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

OrderedJson save(const SessionOptions& options, Service& model, const std::string& client,
                 int64_t slot, const fs::path& file) {
  const Slots::Identities identities = model.slots().get(client, slot);
  if (identities.empty()) throw ApiError(400, str("slot ", slot, " has answered nothing yet"));
  const int64_t need =
      engine::session_bytes(model.engine(), static_cast<int64_t>(identities.size()));
  std::error_code error;
  const auto before =
      static_cast<int64_t>(fs::exists(file, error) ? fs::file_size(file, error) : 0);
  if (bytes_below(options.folder) - before > options.max_bytes - need) {
    throw ApiError(507, str("the session takes ", need, " bytes, more than is left of the ",
                            options.max_bytes, " that sessions may take (--slot-save-gib)"));
  }
  fs::create_directories(file.parent_path(), error);
  if (error) throw ApiError(507, str("cannot make the sessions' folder: ", error.message()));
  const auto start = std::chrono::steady_clock::now();
  const engine::SessionInfo info = engine::save_session(model.engine(), identities, file);
  OrderedJson json = reply_of(slot, file);
  json["n_saved"] = info.identities.size();
  json["n_written"] = info.bytes;
  json["timings"] = {{"save_ms", milliseconds_since(start)}};
  return json;
}

OrderedJson restore(Service& model, const std::string& client, int64_t slot, const fs::path& file) {
  const auto start = std::chrono::steady_clock::now();
  std::error_code error;
  if (!fs::exists(file, error)) {
    throw ApiError(404, str("there is no session '", file.filename().string(), "'"), "filename");
  }
  engine::SessionInfo info = engine::restore_session(model.engine(), file);
  OrderedJson json = reply_of(slot, file);
  json["n_restored"] = info.identities.size();
  json["n_read"] = info.bytes;
  json["timings"] = {{"restore_ms", milliseconds_since(start)}};
  model.slots().put(client, slot, std::move(info.identities));
  return json;
}

// What a client is told names its file, not where the server keeps it.
std::string without_folder(std::string message, const SessionOptions& options,
                           const std::string& client) {
  const std::string folder = (folder_of(options, client) / "").string();
  for (size_t at = message.find(folder); at != message.npos; at = message.find(folder)) {
    message.erase(at, folder.size());
  }
  return message;
}

OrderedJson act(Backend& backend, Service& model, const Call& call, const Fields& fields) {
  const int64_t slot = slot_of(call.http.path);
  const std::string action = query_value(call.http.query, "action");
  if (action == "erase") {
    const auto erased = model.slots().get(call.client, slot).size();
    model.slots().erase(call.client, slot);
    return {{"id_slot", slot}, {"n_erased", erased}};
  }
  if (action != "save" && action != "restore") {
    throw ApiError(400, "the action must be save, restore or erase: /slots/ID?action=save");
  }
  const fs::path file = file_of(backend.sessions, call.client, fields);
  if (action == "restore") return restore(model, call.client, slot, file);
  return save(backend.sessions, model, call.client, slot, file);
}

}  // namespace

void post_slots(Backend& backend, const Call& call) {
  const OrderedJson body =
      call.http.body.empty() ? OrderedJson::object() : parse_body(call.http.body);
  const Fields fields(body);
  const Lease model = backend.shelf.open(fields.text("model").value_or(""));
  const auto said = [&](const Error& error) {
    return without_folder(error.what(), backend.sessions, call.client);
  };
  OrderedJson reply;
  try {
    reply = act(backend, *model, call, fields);
  } catch (const engine::Overloaded& error) {
    throw ApiError(503, error.what());
  } catch (const IoError& error) {
    throw ApiError(507, said(error));
  } catch (const CorruptFile& error) {
    throw ApiError(400, said(error), "filename");
  } catch (const UsageError& error) {
    throw ApiError(400, said(error));
  }
  call.responder->send({.body = dump(reply)});
  call.ended(200, {});
}

void get_slots(Backend& backend, const Call& call) {
  const Lease model = backend.shelf.open(query_value(call.http.query, "model"));
  OrderedJson list = OrderedJson::array();
  for (const auto& [slot, tokens] : model->slots().list(call.client)) {
    list.push_back({{"id", slot}, {"n_ctx", model->engine().context_tokens()}, {"n_past", tokens}});
  }
  call.responder->send({.body = dump(list)});
  call.ended(200, {});
}

}  // namespace corral::serve
