// Files on their way to their names, and the end of a process in their midst.
#pragma once

#include <filesystem>
#include <string>

#include "base/descriptor.h"

namespace touchstone {

/// A file under a temporary name, which is removed when this object goes before it has another, or when
/// end_at_once() ends the process.
class UnfinishedFile {
 public:
  /// Creates `name`, whose last six characters are XXXXXX and become some that no other file has. Where it
  /// cannot, fd() is below 0 and errno says why.
  explicit UnfinishedFile(std::string name);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  int fd() const { return file_.fd; }
  const std::string& name() const { return name_; }
  /// Takes the place of whatever file is at `path`. False, with errno, where it cannot.
  bool rename_to(const std::filesystem::path& path);

  struct Entry;

 private:
  std::string name_;
  Descriptor file_;
  Entry* entry_ = nullptr;  // while it has its temporary name
};

/// Removes all unfinished files and ends the process, without any destructor. A signal handler may call it.
[[noreturn]] void end_at_once(int status);

}  // namespace touchstone
