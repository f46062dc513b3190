// The reader of plan.json.
#include "engine/io/json_object.h"
#include "engine/io/safetensors.h"
#include "engine/train/plan.h"
#include "fuzz/target.h"
#include "test/temporary_directory.h"
#include "test/tiny_run.h"

using namespace ziptie;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto json = parse_json({reinterpret_cast<const char*>(data), size});
    const Plan plan = parse_plan(json, "plan.json");
    require(plan.schedule.steps > 0, "a plan of no steps was accepted");
  } catch (const FileError&) {
    // What a plan that cannot be carried out is answered with.
  }
  return 0;
}

std::vector<std::string> seeds() {
  const TemporaryDirectory directory;
  auto full = tiny_plan(directory.path(), 20);
  auto adapted = full;
  adapted["model"] = {
      {"path", "/model"},
      {"vocabulary",
       {{"size", 40}, {"base_size", 32}, {"initialization", "zip-tie"}, {"map", "/map.json"}, {"seed", 1}}}};
  adapted["adapter"] = {{"r", 8},
                        {"alpha", 16},
                        {"dropout", 0.05},
                        {"use_rslora", false},
                        {"target_modules", {"q_proj", "embed_tokens"}},
                        {"modules_to_save", {"norm"}}};
  adapted["quantization"] = {{"type", "nf4"}, {"double_quant", true}};
  std::vector<std::string> plans;
  for (const auto& plan : {full, adapted}) {
    // The same text every time, wherever the directory was.
    std::string text = plan.dump();
    const std::string name = directory.path().string();
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name))
      text.replace(at, name.size(), "/d");
    plans.push_back(text);
  }
  return plans;
}
