#include "base/repeated_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"

namespace touchstone {

Blob repeat_bytes(std::string name, std::span<const std::byte> pattern, std::size_t size) {
  const auto check = [](bool done) {
    if (!done)
      throw Error(std::string("no memory for bytes that repeat: ") + std::strerror(errno),
                  "free some memory");
  };
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t step = (pattern.size() + page - 1) / page * page;  // only whole pages can be mapped again
  const Descriptor file(memfd_create("pattern", MFD_CLOEXEC));
  check(file.fd >= 0);
  for (std::size_t filled = 0; filled < step;) {
    const std::size_t begin = filled % pattern.size();
    const auto part = pattern.subspan(begin, std::min(pattern.size() - begin, step - filled));
    check(write_all(file.fd, part));
    filled += part.size();
  }
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(address != MAP_FAILED);
  std::shared_ptr<const void> owner(address, [size](void* p) { munmap(p, size); });
  auto* bytes = static_cast<std::byte*>(address);
  for (std::size_t at = 0; at < size; at += step) {
    const std::size_t length = std::min(step, size - at);
    check(mmap(bytes + at, length, PROT_READ, MAP_SHARED | MAP_FIXED, file.fd, 0) != MAP_FAILED);
  }
  const auto stamp = find_file_stamp("/proc/self/fd/" + std::to_string(file.fd));
  return {std::move(name), {bytes, size}, std::move(owner), stamp};
}

}  // namespace touchstone
