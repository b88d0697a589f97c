#include "base/blob.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"

namespace touchstone {
namespace {

std::string reason() { return std::strerror(errno); }

std::int64_t to_ns(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

FileStamp stamp_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = static_cast<std::uint64_t>(status.st_size),
          .modified_ns = to_ns(status.st_mtim),
          .changed_ns = to_ns(status.st_ctim)};
}

std::string make_temporary_name(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    // Renaming would put a file in a device's place.
    throw Error(path.string() + " is there and not a regular file", "name another file to write");
  }
  return path.string() + ".XXXXXX";
}

}  // namespace

std::optional<FileStamp> find_file_stamp(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return stamp_of(status);
}

bool is_settled(const FileStamp& stamp) {
  // Systems that keep times in steps take steps of 10 ms at most.
  constexpr std::chrono::milliseconds kSteps{100};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return now - std::chrono::nanoseconds(stamp.changed_ns) >= kSteps;
}

Blob map_file(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a pipe waits for a writer.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0)
    throw Error("cannot open " + path.string() + ": " + reason(), "check the path and its permissions");
  struct stat status {};
  if (fstat(file.fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(path.string() + " is not a regular file", "name a file, not a folder or device");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return {path.string(), {}, nullptr};
  void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED) throw Error("cannot map " + path.string() + ": " + reason(), "free some memory");
  std::shared_ptr<const void> owner(address, [size](void* p) { munmap(p, size); });
  return {path.string(), {static_cast<const std::byte*>(address), size}, std::move(owner), stamp_of(status)};
}

void prefer_large_pages(const Blob& file) {
  if (!file.mapped) return;
  madvise(const_cast<std::byte*>(file.bytes.data()), file.bytes.size(), MADV_HUGEPAGE);  // may be refused
}

void drop_pages(const Blob& file, std::span<const std::byte> part) {
  const bool inside =
      part.data() >= file.bytes.data() && part.data() + part.size() <= file.bytes.data() + file.bytes.size();
  if (!file.mapped || !inside) return;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t begin = (address + page - 1) / page * page;
  const std::uintptr_t end = (address + part.size()) / page * page;
  if (begin >= end) return;
  madvise(const_cast<std::byte*>(part.data()) + (begin - address), end - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), file_(make_temporary_name(path_)) {
  if (file_.fd() < 0) fail("cannot create");
}

void AtomicFile::fail(const char* what) const {
  throw Error(std::string(what) + " " + path_.string() + ": " + reason(),
              "check free space and permissions of its folder");
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (!write_all(file_.fd(), bytes)) fail("cannot write");
}

void AtomicFile::finish() {
  if (fchmod(file_.fd(), 0644) != 0 || fsync(file_.fd()) != 0 || !file_.rename_to(path_)) {
    fail("cannot write");
  }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.finish();
}

}  // namespace touchstone
