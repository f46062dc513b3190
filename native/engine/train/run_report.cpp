#include "engine/train/run_report.h"

#include <fmt/core.h>
#include <unistd.h>

namespace ziptie {
namespace {

nlohmann::json or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

nlohmann::ordered_json by_fate(const RowCounts& rows) {
  return {{"used", rows.used},
          {"cut", rows.cut},
          {"too_long", rows.too_long},
          {"unsupervised", rows.unsupervised},
          {"broken", rows.broken},
          {"template", rows.template_refused},
          {"tokenizer", rows.tokenizer_refused},
          {"packs", rows.packs}};
}

}  // namespace

void RunReport::started(const Beginning& beginning) {
  const RowCounts& rows = beginning.rows;
  nlohmann::ordered_json fields = {{"device", beginning.device},
                                   {"parameters", beginning.parameters},
                                   {"trainable_parameters", beginning.trainable_parameters},
                                   {"steps", beginning.steps},
                                   {"rows", by_fate(rows)},
                                   {"pid", ::getpid()}};
  if (beginning.evaluation_rows) fields["evaluation_rows"] = by_fate(*beginning.evaluation_rows);
  if (beginning.resumed_from) fields["resumed_from"] = *beginning.resumed_from;
  events_.write("run_started", fields);
  log(fmt::format(
      "{}; {} parameters, {} of them trained; {} rows{}, {} steps{}", beginning.device, beginning.parameters,
      beginning.trainable_parameters, rows.used,
      rows.packs > 0 ? fmt::format(" in {} packs", rows.packs) : "", beginning.steps,
      beginning.resumed_from ? fmt::format(", resumed after step {}", *beginning.resumed_from) : ""));
  progress_.emplace(beginning.steps, beginning.done);
}

void RunReport::step(std::int64_t step, double epoch, const StepResult& result, double seconds,
                     std::uint64_t memory_bytes) {
  const double tokens_per_second = static_cast<double>(result.tokens) / seconds;
  events_.write("step", {{"step", step},
                         {"epoch", epoch},
                         {"loss", result.loss},
                         {"learning_rate", result.learning_rate},
                         {"grad_norm", result.grad_norm},
                         {"tokens", result.tokens},
                         {"supervised_tokens", result.supervised_tokens},
                         {"tokens_per_second", tokens_per_second},
                         {"memory_bytes", memory_bytes},
                         {"seconds", seconds}});
  if (const auto line = progress_->after(step, result, tokens_per_second)) log(*line);
}

void RunReport::evaluating(std::int64_t step, std::int64_t done, std::int64_t rows) {
  if (const auto line = progress_->evaluating(step, done, rows)) log(*line);
}

void RunReport::evaluated(std::int64_t step, const Loss& loss) {
  const double mean = loss.sum / static_cast<double>(loss.tokens);
  events_.write("evaluation", {{"step", step}, {"loss", mean}, {"tokens", loss.tokens}});
  log(fmt::format("step {}: evaluation loss {:.4f}", step, mean));
}

void RunReport::saved(std::int64_t step, const std::filesystem::path& checkpoint) {
  events_.write("checkpoint", {{"step", step}, {"path", checkpoint.string()}});
}

void RunReport::warning(std::int64_t step, const std::string& message) {
  const std::string sentence = as_sentence(message);
  events_.write("warning", {{"message", sentence}, {"step", step}});
  log(fmt::format("warning: {}", sentence));
}

void RunReport::finished(const RunOutcome& outcome) {
  nlohmann::ordered_json fields = {{"state", outcome.stopped ? "stopped" : "finished"},
                                   {"step", outcome.step},
                                   {"loss", or_null(outcome.loss)},
                                   {"evaluation_loss", or_null(outcome.evaluation_loss)}};
  if (!outcome.stopped) fields["output"] = outcome.output.string();
  events_.write("run_finished", fields);
  log(outcome.stopped ? fmt::format("stopped after step {}; resume with --resume", outcome.step)
                      : fmt::format("finished after step {}; {}", outcome.step, outcome.output.string()));
}

std::string as_sentence(std::string message) {
  if (!message.empty() && message.back() != '.' && message.back() != '!' && message.back() != '?')
    message += '.';
  return message;
}

}  // namespace ziptie
