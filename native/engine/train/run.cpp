#include "engine/train/run.h"

#include <fmt/core.h>

#include <chrono>
#include <cmath>

#include "engine/io/checkpoint.h"
#include "engine/io/durable_file.h"
#include "engine/io/hf_model_writer.h"
#include "engine/io/peft_adapter.h"
#include "engine/io/write_aside.h"
#include "engine/train/model_setup.h"
#include "engine/train/resume.h"
#include "engine/train/run_lock.h"
#include "engine/train/run_report.h"
#include "engine/train/trainer.h"
#include "engine/train/training_data.h"

namespace ziptie {
namespace {

using Clock = std::chrono::steady_clock;

/// Whether the model of that configuration stands at `directory`, as far as headers tell.
bool is_whole(const std::filesystem::path& directory, const LlamaConfig& config) {
  try {
    return HfModel(directory).config().vocab_size == config.vocab_size;
  } catch (const FileError&) {
    return false;
  }
}

/// One run from its model to its last event; the directory is locked and the events are open.
class Run {
 public:
  Run(const Plan& plan, const RunControl& control, EventLog& events, bool continues)
      : plan_(plan),
        control_(control),
        interruption_(interrupted_by(control.stop)),
        report_(events, control),
        continues_(continues),
        store_(plan.output) {
    store_.remove_unfinished();
  }

  RunOutcome carry_out();

  /// What `run_failed` says besides the reason.
  nlohmann::ordered_json standing() const;

 private:
  void prepare();
  void resume();
  void announce();
  void train();
  /// False: a stop came in between, and nothing has changed.
  bool take_step(std::int64_t step);
  bool evaluation_is_due() const;
  void evaluate();
  void save_checkpoint();
  void write_base();
  /// False: a stop came in between, and nothing was written.
  bool write_output();
  RunOutcome finish(bool stopped);
  void warn(const std::string& message);

  const Plan& plan_;
  const RunControl& control_;
  const InterruptionPoint interruption_;  ///< throws Interrupted once a stop is asked for
  RunReport report_;
  bool continues_;
  CheckpointStore store_;

  ChosenBackend device_;
  std::optional<ModelSource> source_;
  std::unique_ptr<Llama> model_;
  std::optional<TrainingData> data_;
  std::optional<Trainer> trainer_;
  CheckpointTensors tensors_;

  RunState state_;
  std::int64_t attempted_step_ = 0;
  std::int64_t saved_step_ = 0;  ///< of the newest checkpoint
  std::filesystem::path output_;
};

nlohmann::ordered_json Run::standing() const {
  nlohmann::ordered_json fields = {{"step", attempted_step_}};
  const auto steps = store_.steps();
  if (!steps.empty()) fields["checkpoint"] = store_.path_of(steps.back()).string();
  return fields;
}

RunOutcome Run::carry_out() {
  try {
    prepare();
  } catch (const Interrupted&) {
    const auto steps = store_.steps();
    if (!steps.empty()) state_.step = steps.back();
    return finish(true);
  }
  announce();
  train();
  // A stop may also come during the evaluation after the last step, which resuming then does.
  const bool is_done = state_.step == plan_.schedule.steps && !evaluation_is_due();
  return finish(!is_done || !write_output());
}

void Run::prepare() {
  report_.log("reading the model and the data");
  if (control_.resume) verify_inputs(plan_, interruption_);
  device_ = choose_backend(plan_.device, plan_.threads);
  source_.emplace(open_model(plan_));
  data_.emplace(plan_, source_->config.vocab_size, interruption_);
  model_ = make_model(plan_, *source_, *device_.backend, interruption_);
  trainer_.emplace(plan_, *model_, *data_);
  tensors_ = checkpoint_weights(plan_, *model_);
  // A checkpoint of an adapter is asked and merged with the tokenizer it was trained with.
  if (plan_.adapter)
    for (const auto& file : plan_.tokenizer_files)
      tensors_.companions.emplace(file.filename().string(), read_file(file));
  tensors_.optimizer = trainer_->optimizer().state();
  state_.plan = plan_.json;
  if (control_.resume) resume();
  write_base();
}

void Run::resume() {
  const auto point = load_resume_point(store_, tensors_, *device_.backend, interruption_);
  if (!point) return;
  verify_same_plan(point->state, plan_);
  const nlohmann::json plan = state_.plan;
  state_ = point->state;
  state_.plan = plan;
  attempted_step_ = saved_step_ = state_.step;
  // Under their names they would be taken for the newest when old ones are deleted. Only now that an older
  // one is known to serve.
  for (const auto& damaged : point->damaged) {
    warn(fmt::format("The damaged checkpoint {} is passed over and kept as {}: {}", damaged.step,
                     store_.set_aside(damaged.step).string(), damaged.reason));
  }
}

void Run::announce() {
  const RowCounts in_shards = data_->counts();
  RunReport::Beginning beginning;
  beginning.device = device_.description;
  beginning.trainable_parameters = trainer_->optimizer().trainable_parameters();
  for (const Parameter& parameter : model_->parameters()) beginning.parameters += parameter.value.elements();
  beginning.steps = plan_.schedule.steps;
  beginning.rows = in_shards;
  for (const Plan::Data& data : plan_.data) beginning.rows += data.dropped;
  if (plan_.evaluation) {
    beginning.evaluation_rows = data_->evaluation()->counts();
    *beginning.evaluation_rows += plan_.evaluation->dropped;
  }
  if (continues_) beginning.resumed_from = state_.step;
  beginning.done = state_.step;
  report_.started(beginning);
  // Of rows that were dropped before, whoever dropped them has warned.
  if (in_shards.unsupervised > 0) {
    warn(fmt::format("{} of {} rows have no token that carries loss within max_length {} and are left out",
                     in_shards.unsupervised, in_shards.used + in_shards.too_long + in_shards.unsupervised,
                     plan_.batching.max_length));
  }
  if (data_->longest_row() > source_->config.max_position_embeddings) {
    warn(fmt::format("The longest row has {} tokens, but the model was made for {} (max_position_embeddings)",
                     data_->longest_row(), source_->config.max_position_embeddings));
  }
  if (plan_.adapter && plan_.architecture) {
    warn(
        "The adapter belongs to a model of random weights, which is not written; it is of use only with that "
        "model");
  }
}

void Run::train() {
  // That before the first step; and an engine may have been killed, or stopped, between a step and its own.
  if (evaluation_is_due()) evaluate();
  while (state_.step < plan_.schedule.steps && take_step(state_.step + 1)) {
    if (evaluation_is_due()) evaluate();
    if (plan_.save_steps && state_.step % *plan_.save_steps == 0) save_checkpoint();
  }
  if (state_.step > saved_step_) save_checkpoint();
}

bool Run::take_step(std::int64_t step) {
  attempted_step_ = step;
  const auto begin = Clock::now();
  StepResult result;
  try {
    result = trainer_->step(step, interruption_);
  } catch (const Interrupted&) {
    return false;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const bool finite = result.is_finite();
  if (finite) {
    state_.step = step;
    state_.loss = result.loss;
  }
  if (!finite || step % plan_.logging_steps == 0 || step == plan_.schedule.steps)
    report_.step(step, data_->epoch(step), result, seconds, device_.backend->peak_memory());
  if (!finite) {
    throw RunError(
        fmt::format("{} is not a finite number at step {}. {}. Lower the learning rate or max_grad_norm, or "
                    "warm up longer.",
                    std::isfinite(result.loss) ? "The gradient" : "The loss", step,
                    saved_step_ > 0 ? fmt::format("The checkpoint of step {} is kept", saved_step_)
                                    : "No checkpoint had been written yet"));
  }
  return true;
}

bool Run::evaluation_is_due() const {
  if (!plan_.evaluation || state_.evaluated_step == state_.step) return false;
  if (state_.step == 0) return plan_.evaluation->on_start;
  return state_.step == plan_.schedule.steps ||
         (plan_.evaluation->every_steps && state_.step % *plan_.evaluation->every_steps == 0);
}

void Run::evaluate() {
  Loss loss;
  try {
    loss = trainer_->evaluate(
        [&](std::int64_t done, std::int64_t rows) { report_.evaluating(state_.step, done, rows); },
        interruption_);
  } catch (const Interrupted&) {
    return;
  }
  const double mean = loss.sum / static_cast<double>(loss.tokens);
  if (std::isfinite(mean)) state_.evaluation_loss = mean;
  state_.evaluated_step = state_.step;
  report_.evaluated(state_.step, loss);
}

void Run::save_checkpoint() {
  // The last update may have overflowed, which no loss has shown yet; such weights, or moments, which no
  // engine would load again, must not take a good checkpoint's place.
  if (const auto overflown = trainer_->optimizer().not_finite()) {
    throw RunError(fmt::format(
        "'{}' holds a number that is not finite after step {}, so no checkpoint is written of it. "
        "Lower the learning rate or max_grad_norm, or warm up longer.",
        *overflown, state_.step));
  }
  store_.save(state_.step, tensors_, state_.json(), *device_.backend);
  saved_step_ = state_.step;
  report_.saved(state_.step, store_.path_of(state_.step));
  if (!plan_.save_total_limit) return;
  // Old checkpoints in the way are a nuisance, not a reason to lose a run.
  for (const std::string& failure : store_.prune(*plan_.save_total_limit))
    warn(fmt::format("An old checkpoint could not be deleted: {}", failure));
}

/// Before the first checkpoint, which names it.
void Run::write_base() {
  if (!plan_.adapter || !plan_.vocabulary) return;
  const auto base = adapter_base(plan_);
  if (state_.step > 0 && is_whole(base, source_->config)) return;
  report_.log("writing the grown base");
  source_->weights->write(base, plan_.tokenizer_files, *device_.backend, interruption_);
}

bool Run::write_output() {
  const auto output = plan_.output / (plan_.adapter ? "adapter" : "model");
  try {
    write_aside(output, [&](const std::filesystem::path& aside) {
      if (plan_.adapter) {
        write_adapter(aside, *model_, *plan_.adapter, adapter_base(plan_).string());
        copy_files(plan_.tokenizer_files, aside);
      } else {
        write_hf_model(aside, *model_, plan_.model_path, plan_.tokenizer_files, interruption_);
      }
    });
  } catch (const Interrupted&) {
    return false;
  }
  output_ = output;
  return true;
}

RunOutcome Run::finish(bool stopped) {
  const RunOutcome outcome{stopped, state_.step, state_.loss, state_.evaluation_loss, output_};
  report_.finished(outcome);
  return outcome;
}

void Run::warn(const std::string& message) { report_.warning(state_.step, message); }

/// @throws RunError when the directory's events or checkpoints forbid to begin
void check_may_begin(const std::filesystem::path& output, bool resume) {
  const EventSummary events = summarize_events(output / "events.jsonl");
  if (events.started && !resume) {
    throw RunError(fmt::format(
        "{}: there is a run in this directory already; continue it with --resume, or choose another "
        "output",
        output.string()));
  }
  if (!resume && !CheckpointStore(output).steps().empty()) {
    throw RunError(fmt::format(
        "{}: there are checkpoints of a run in this directory already; continue it with --resume, or choose "
        "another output",
        output.string()));
  }
  if (events.finished && resume) {
    throw RunError(fmt::format("{}: this run is finished, there is nothing to resume", output.string()));
  }
}

}  // namespace

RunOutcome run_training(const Plan& plan, const RunControl& control) {
  create_directories_durably(plan.output);
  const RunLock lock(plan.output);
  check_may_begin(plan.output, control.resume);
  const auto events_path = plan.output / "events.jsonl";
  const bool continues = control.resume && summarize_events(events_path).started;
  EventLog events(events_path);
  sync_directory(plan.output);
  std::optional<Run> run;
  const auto report = [&](const std::string& reason) {
    try {
      nlohmann::ordered_json fields = run ? run->standing() : nlohmann::ordered_json::object();
      fields["reason"] = as_sentence(reason);
      events.write("run_failed", fields);
    } catch (const FileError& silenced) {
      // The disk that ended the run may be the one that the events go to; the reason itself is thrown on.
      control.log(fmt::format("the failure could not be recorded: {}", silenced.what()));
    }
  };
  try {
    run.emplace(plan, control, events, continues);
    return run->carry_out();
  } catch (const std::bad_alloc&) {
    report(
        "The machine has run out of memory; use smaller batches, a smaller max_length, or a smaller model");
    throw;
  } catch (const std::exception& failure) {
    report(failure.what());
    throw;
  }
}

}  // namespace ziptie
