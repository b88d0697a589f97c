#include "base/blob.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace touchstone {
namespace {

/// A file descriptor that closes itself.
struct Descriptor {
  int fd;
  explicit Descriptor(int fd) : fd(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

std::string reason() { return std::strerror(errno); }

}  // namespace

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
  return {path.string(), {static_cast<const std::byte*>(address), size}, std::move(owner)};
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
