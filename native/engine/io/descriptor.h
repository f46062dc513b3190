#pragma once
#include <unistd.h>

#include <utility>

namespace ziptie {

/// Closes the file that it holds open, if it holds one.
struct Descriptor {
  int value;

  explicit Descriptor(int opened) : value(opened) {}
  Descriptor(Descriptor&& other) noexcept : value(std::exchange(other.value, -1)) {}
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace ziptie
