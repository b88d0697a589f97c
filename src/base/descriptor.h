// A file descriptor that closes itself.
#pragma once

#include <unistd.h>

namespace touchstone {

struct Descriptor {
  int fd;  // or -1
  explicit Descriptor(int fd) : fd(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace touchstone
