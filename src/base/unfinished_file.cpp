#include "base/unfinished_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <utility>

namespace touchstone {

/// The name of a file that is to be removed, or null. Whoever takes it is the one to remove the file.
struct UnfinishedFile::Entry {
  std::atomic<const char*> name;
  Entry* next;
};

namespace {

using Entry = UnfinishedFile::Entry;

std::atomic<Entry*> entries = nullptr;  // none is ever taken out: a signal handler may walk along them
static_assert(std::atomic<Entry*>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free);

Entry* add_entry(const char* name) {
  for (Entry* entry = entries; entry != nullptr; entry = entry->next) {
    const char* none = nullptr;
    if (entry->name.compare_exchange_strong(none, name)) return entry;
  }
  auto* entry = new Entry{name, entries};
  while (!entries.compare_exchange_weak(entry->next, entry)) {
  }
  return entry;
}

void remove_entry(Entry& entry) {
  while (entry.name.exchange(nullptr) == nullptr) pause();  // the process is ending, and uses the name
}

}  // namespace

UnfinishedFile::UnfinishedFile(std::string name)
    : name_(std::move(name)), file_(mkostemp(name_.data(), O_CLOEXEC)) {
  if (file_.fd >= 0) entry_ = add_entry(name_.c_str());
}

UnfinishedFile::~UnfinishedFile() {
  if (entry_ == nullptr) return;
  unlink(name_.c_str());
  remove_entry(*entry_);
}

bool UnfinishedFile::rename_to(const std::filesystem::path& path) {
  if (rename(name_.c_str(), path.c_str()) != 0) return false;
  remove_entry(*std::exchange(entry_, nullptr));
  return true;
}

void end_at_once(int status) {
  for (Entry* entry = entries; entry != nullptr; entry = entry->next) {
    if (const char* name = entry->name.exchange(nullptr)) unlink(name);
  }
  _exit(status);
}

}  // namespace touchstone
