#include "base/blob.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

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

}  // namespace

std::optional<FileStamp> find_file_stamp(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return stamp_of(status);
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

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  std::string temporary = path.string() + ".XXXXXX";
  const Descriptor file(mkstemp(temporary.data()));
  const auto fail = [&](const char* what) {
    const std::string why = reason();
    if (file.fd >= 0) unlink(temporary.c_str());
    throw Error(std::string(what) + " " + path.string() + ": " + why,
                "check free space and permissions of its folder");
  };
  if (file.fd < 0) fail("cannot create");
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(file.fd, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write");
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fchmod(file.fd, 0644) != 0 || fsync(file.fd) != 0 || rename(temporary.c_str(), path.c_str()) != 0) {
    fail("cannot write");
  }
}

}  // namespace touchstone
