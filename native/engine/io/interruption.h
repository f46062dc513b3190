#pragma once
#include <functional>

namespace ziptie {

/// Called between the pieces of long work, every second or so; what it throws ends the work. May be empty.
using InterruptionPoint = std::function<void()>;

inline void pass(const InterruptionPoint& point) {
  if (point) point();
}

/// A stop was asked for.
struct Interrupted {};

/// Throws Interrupted once `stop` says so. `stop` may be empty, and is to outlive what is returned.
inline InterruptionPoint interrupted_by(const std::function<bool()>& stop) {
  return [&stop] {
    if (stop && stop()) throw Interrupted();
  };
}

}  // namespace ziptie
