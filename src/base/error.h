// The one error type that the program throws at its edges: what is wrong, and what to do about it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace touchstone {

/// Thrown for anything that comes from outside: files, network, user input. Printed as
/// `touchstone: error: WHAT; HINT`. Both parts are one line; `hint` may be empty.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string hint = {})
      : std::runtime_error(what), hint_(std::move(hint)) {}
  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

}  // namespace touchstone
