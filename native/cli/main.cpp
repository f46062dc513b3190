#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App app{"Trains Llama-family language models and runs them."};
  app.set_version_flag("--version", ZIPTIE_VERSION);
  CLI11_PARSE(app, argc, argv);
  return 0;
}
