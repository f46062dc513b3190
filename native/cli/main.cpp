#include <fmt/core.h>
#include <malloc.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <new>

#include "cli/commands.h"

namespace {

constexpr int failed = 1;
constexpr int wrong_usage = 2;

/// The options that name a model: one of a directory and a run.
void add_model(CLI::App& command, ziptie::ModelArgument& argument) {
  CLI::Option_group* named = command.add_option_group("model");
  CLI::Option* directory = named->add_option("--model", argument.directory, "HF model directory");
  named->add_option("--run", argument.run, "Run directory, for its newest checkpoint");
  named->require_option(1);
  command.add_option("--adapter", argument.adapter, "PEFT adapter directory")->needs(directory);
}

/// Every shard of a model, data set or corpus is one open file, and the usual limit of 1,024 is there for
/// programs that use select().
void allow_many_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  // glibc raises this threshold with every large block that is freed, and then keeps such blocks: a model
  // whose workspace grows with its batches would hold every workspace it has outgrown.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  allow_many_open_files();

  CLI::App app{"Trains Llama-family language models and runs them."};
  app.set_version_flag("--version", ZIPTIE_VERSION);
  app.require_subcommand(1);

  ziptie::TrainOptions train_options;
  CLI::App* train = app.add_subcommand("train", "Carry out a training plan");
  train->add_option("PLAN", train_options.plan, "plan.json")->required();
  train->add_flag("--resume", train_options.resume, "Continue from the newest complete checkpoint");

  ziptie::GenerateOptions generate_options;
  CLI::App* generate = app.add_subcommand("generate", "Continue prompts");
  add_model(*generate, generate_options.model);
  generate
      ->add_option("--prompts", generate_options.prompts,
                   R"(File with a line {"id": …, "input_ids": […]} for each prompt)")
      ->required();
  ziptie::GenerationSettings& settings = generate_options.settings;
  generate->add_option("--max-new-tokens", settings.max_new_tokens, "Tokens to generate at most")
      ->check(CLI::PositiveNumber);
  std::vector<std::uint32_t> stop_ids;
  CLI::Option* stop_ids_option =
      generate
          ->add_option("--stop-ids", stop_ids, "Token ids that end a text; the model's own when not given")
          ->delimiter(',');
  generate->add_option(
      "--temperature", settings.sampling.temperature,
      "Divides the logits; 0, which is what holds when not given, takes the likeliest token");
  generate->add_option("--top-k", settings.sampling.top_k, "Draw from so many likeliest tokens; 0: from all");
  generate->add_option("--top-p", settings.sampling.top_p,
                       "Draw from the likeliest tokens that together reach this probability");
  generate->add_option("--seed", settings.sampling.seed, "What is drawn follows from it");
  generate->add_option("--batch-size", settings.batch_size, "Texts at a time")->check(CLI::PositiveNumber);
  generate->add_flag("--stream", generate_options.stream,
                     R"(A line {"id": …, "token": …} for each token as well)");
  generate->add_option("--threads", generate_options.threads, "CPU threads; all when not given")
      ->check(CLI::PositiveNumber);

  ziptie::ScoreOptions score_options;
  CLI::App* score = app.add_subcommand("score", "Say how likely continuations are");
  add_model(*score, score_options.model);
  score
      ->add_option("--requests", score_options.requests,
                   R"(File with a line {"id": …, "input_ids": […], "continuation_ids": […]} for each)")
      ->required();
  score->add_option("--batch-tokens", score_options.batch_tokens, "Tokens at a time")
      ->check(CLI::Range(1, 1 << 30));
  score->add_option("--threads", score_options.threads, "CPU threads; all when not given")
      ->check(CLI::PositiveNumber);

  ziptie::DescribeOptions describe_options;
  std::string format = "text";
  CLI::App* describe = app.add_subcommand("describe", "Say what computes here, and what is in a model");
  describe->add_option("--model", describe_options.model, "HF model directory");
  describe->add_option("--format", format, "text or json")->check(CLI::IsMember({"text", "json"}));
  describe->add_option("--threads", describe_options.threads, "CPU threads; all when not given")
      ->check(CLI::PositiveNumber);

  ziptie::ExportOptions export_options;
  std::string export_dtype;
  CLI::App* export_model =
      app.add_subcommand("export", "Merge an adapter into its model and write the whole model");
  export_model->add_option("--model", export_options.model, "HF model directory")->required();
  export_model->add_option("--adapter", export_options.adapter, "PEFT adapter directory")->required();
  export_model->add_option("--output", export_options.output, "HF directory to write; may not exist")
      ->required();
  const std::map<std::string, ziptie::DType> dtypes = {
      {"float32", ziptie::DType::f32}, {"bfloat16", ziptie::DType::bf16}, {"float16", ziptie::DType::f16}};
  export_model
      ->add_option("--dtype", export_dtype, "Type of the weights; when not given, that of the model's")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}));
  export_model->add_option("--threads", export_options.threads, "CPU threads; all when not given")
      ->check(CLI::PositiveNumber);

  ziptie::TrainTokenizerOptions tokenizer_options;
  CLI::App* train_tokenizer = app.add_subcommand("train-tokenizer", "Train a BPE vocabulary on a corpus");
  train_tokenizer->add_option("PLAN", tokenizer_options.plan, "trainer plan, JSON")->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : wrong_usage;
  }
  if (stop_ids_option->count() > 0) generate_options.stop_ids = stop_ids;
  describe_options.json = format == "json";
  if (!export_dtype.empty()) export_options.dtype = dtypes.at(export_dtype);

  try {
    if (train->parsed()) return ziptie::train_command(train_options);
    if (generate->parsed()) return ziptie::generate_command(generate_options);
    if (export_model->parsed()) return ziptie::export_command(export_options);
    if (score->parsed()) return ziptie::score_command(score_options);
    if (train_tokenizer->parsed()) return ziptie::train_tokenizer_command(tokenizer_options);
    return ziptie::describe_command(describe_options);
  } catch (const std::bad_alloc&) {
    std::fputs("ziptie-engine: out of memory\n", stderr);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("ziptie-engine: {}\n", error.what()).c_str(), stderr);
  }
  return failed;
}
