#pragma once

namespace ziptie {

/// From now on SIGINT and SIGTERM ask for an end instead of ending the program, and a closed terminal, pipe
/// or a full disk does not end it either.
void stop_on_signals();

/// Whether an end was asked for.
bool stop_requested();

}  // namespace ziptie
