#pragma once
#include <exception>
#include <string>

/// The message of what `action` throws, or "" when it throws nothing.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}
