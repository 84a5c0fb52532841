// What of a prefix cache goes to disk and comes back.
#include <algorithm>

#include "kv/prefix_cache.h"

namespace corral::kv {

// Nothing that was used at `before` or later.
bool PrefixCache::forget_one(uint64_t before) {
  const Order& global = group(kGlobal).in_memory;
  const Order& chunked = group(kChunked).in_memory;
  if (global.empty()) return false;
  if (!chunked.empty() && chunked.begin()->first < global.begin()->first) {
    if (chunked.begin()->first >= before) return false;
    Node& node = *chunked.begin()->second;
    if (!spill(node, kChunked, before)) lose(node, kChunked);
    return true;
  }
  if (global.begin()->first >= before) return false;
  Node& node = *global.begin()->second;
  Part& part = node.part(kChunked);
  if (part.used != 0 && !part.on_disk && !spill(node, kChunked, before)) lose(node, kChunked);
  // What goes on from it is on disk, and is lost with it.
  if (!spill(node, kGlobal, before)) remove_with_children(node);
  return true;
}

// Writes a part to disk instead of forgetting it. False, and nothing is changed, when there is no
// room, or nothing to write.
bool PrefixCache::spill(Node& node, LayerGroup of, uint64_t before) {
  if (disk_ == nullptr) return false;
  const auto pages = cache_.pages(node.block, of);
  const int64_t bytes = cache_.bytes(node.block, of);
  if (bytes > disk_->max_bytes() || (pages.empty() && of == kChunked)) return false;
  while (disk_->bytes() > disk_->max_bytes() - bytes) {
    if (!forget_on_disk(before)) return false;
  }
  std::vector<PageFile::Slot> slots;
  for (const std::span<std::byte> page : pages) {
    const auto slot = disk_->write(page);
    if (!slot) {
      for (const PageFile::Slot& written : slots) disk_->release(written);
      return false;
    }
    slots.push_back(*slot);
  }
  Part& part = node.part(of);
  cache_.copy_tables(node.block, part.tables, of);
  cache_.drop(node.block, of);
  group(of).in_memory.erase(part.used);
  group(of).on_disk[part.used] = &node;
  part.on_disk = true;
  part.slots = std::move(slots);
  return true;
}

// The least recently used block on disk has no children: those would be older still.
bool PrefixCache::forget_on_disk(uint64_t before) {
  const Order& global = group(kGlobal).on_disk;
  const Order& chunked = group(kChunked).on_disk;
  const bool chunked_first =
      !chunked.empty() && (global.empty() || chunked.begin()->first < global.begin()->first);
  const Order& first = chunked_first ? chunked : global;
  if (first.empty() || first.begin()->first >= before) return false;
  Node& node = *first.begin()->second;
  if (chunked_first) {
    lose(node, kChunked);
  } else {
    remove_with_children(node);
  }
  return true;
}

bool PrefixCache::fetch(std::span<const Identity> tokens, int64_t bytes) {
  if (disk_ == nullptr) return false;
  Path path = find(tokens);
  const int64_t length = adoptable(path, path.length);
  const uint64_t before = clock_ + 1;
  touch(path.nodes, cache_.visible_from(length));
  return load(path, length, before, bytes);
}

// Brings into memory what a sequence of `length` tokens needs of the path, as far as there is room;
// the path ends where it does not go on in memory. True when it stopped because so many bytes, or
// more, were read.
bool PrefixCache::load(Path& path, int64_t length, uint64_t before, int64_t bytes) {
  const int64_t chunked_from = cache_.visible_from(length);
  const int64_t loaded_before = loaded_bytes_;
  for (size_t i = 0; i < path.nodes.size(); ++i) {
    Node& node = *path.nodes[i];
    const bool wanted = node.block.begin < length;
    if (wanted && loaded_bytes_ - loaded_before >= bytes) return true;
    if (wanted && node.part(kGlobal).on_disk) load(node, kGlobal, before);
    if (node.part(kGlobal).on_disk || node.part(kGlobal).used == 0) {
      path.length = std::min(path.length, node.block.begin);
      // Its pages are damaged: what goes on from it cannot be had either.
      if (node.part(kGlobal).used == 0) remove_with_children(node);
      path.nodes.resize(i);
      return false;
    }
    if (wanted && node.part(kChunked).on_disk && node.block.end > chunked_from) {
      load(node, kChunked, before);
    }
  }
  return false;
}

// False when memory has no room, or the pages are not what they were: then they are lost.
bool PrefixCache::load(Node& node, LayerGroup of, uint64_t before) {
  Part& part = node.part(of);
  const int64_t bytes = cache_.bytes(part.tables, of);
  while (cache_.bytes() > cache_.max_bytes() - bytes) {
    if (!forget_one(before)) return false;
  }
  cache_.acquire(node.block, part.tables, of);
  const auto pages = cache_.pages(node.block, of);
  bool intact = true;
  for (size_t i = 0; i < pages.size(); ++i) {
    intact = intact && disk_->read(part.slots[i], pages[i]);
  }
  if (!intact) {
    cache_.drop(node.block, of);
    lose(node, of);
    return false;
  }
  for (const PageFile::Slot& slot : part.slots) disk_->release(slot);
  group(of).on_disk.erase(part.used);
  group(of).in_memory[part.used] = &node;
  part = {.used = part.used, .on_disk = false, .tables = {}, .slots = {}};
  loaded_bytes_ += bytes;
  return true;
}

}  // namespace corral::kv
