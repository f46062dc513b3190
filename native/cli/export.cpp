#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "cli/commands.h"
#include "cli/stop_request.h"
#include "engine/io/model_export.h"
#include "engine/train/model_setup.h"

namespace ziptie {

int export_command(const ExportOptions& options) {
  stop_on_signals();
  const auto chosen = choose_backend(Device::automatic, options.threads);
  ModelExport request{options.model, options.adapter, options.output, options.dtype};
  auto said = std::chrono::steady_clock::now();
  request.progress = [&](std::size_t done, std::size_t total) {
    if (stop_requested()) throw std::runtime_error("stopped; nothing was written");
    const auto now = std::chrono::steady_clock::now();
    if (done < total && now - said < std::chrono::seconds(1)) return;
    said = now;
    std::fputs(fmt::format("{} of {} tensors merged\n", done, total).c_str(), stderr);
  };
  export_model(request, *chosen.backend);
  return 0;
}

}  // namespace ziptie
