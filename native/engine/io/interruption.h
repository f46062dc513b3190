#pragma once
#include <functional>

namespace ziptie {

/// Called between the pieces of long work, every second or so; what it throws ends the work. May be empty.
using InterruptionPoint = std::function<void()>;

inline void pass(const InterruptionPoint& point) {
  if (point) point();
}

}  // namespace ziptie
