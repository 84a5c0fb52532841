#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace corral::engine {

/// What went into a session's file or came out of it.
struct SessionInfo {
  std::vector<uint64_t> identities;  // of its tokens
  int64_t bytes = 0;                 // of the file
};

/// Bytes of the file of a session of so many tokens, but for its header.
int64_t session_bytes(Engine& engine, int64_t tokens);

/// Writes the keys and values of the longest beginning of these tokens that the engine's prefix
/// cache knows (docs/formats/session.md). Answers go on meanwhile. The file appears when it is
/// complete.
///
/// Throws UsageError when nothing is known, and for pictures, which only this process knows;
/// IoError naming the file; Overloaded when the engine is shutting down.
SessionInfo save_session(Engine& engine, std::span<const uint64_t> identities,
                         const std::filesystem::path& path);

/// Reads such a file into the engine's prefix cache: prompts that begin like the session go on from
/// it, with the bits that computing it again would give.
///
/// Throws IoError and CorruptFile naming the file; UsageError when it is of another model, or of
/// one that is run otherwise; Error when the cache's memory does not hold it; Overloaded as above.
SessionInfo restore_session(Engine& engine, const std::filesystem::path& path);

}  // namespace corral::engine
