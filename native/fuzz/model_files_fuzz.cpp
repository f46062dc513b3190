// The readers of the JSON files beside a model's weights: the first byte of an input says which.
#include <array>
#include <filesystem>
#include <fstream>

#include "engine/io/adapter_config.h"
#include "engine/io/hf_config.h"
#include "engine/io/safetensors.h"
#include "engine/io/weight_files.h"
#include "fuzz/target.h"
#include "test/temporary_directory.h"

using namespace ziptie;

namespace {

using Directory = std::filesystem::path;

struct Reader {
  const char* file;
  void (*read)(const Directory&);
};

constexpr const char* config_json =
    R"({"model_type":"llama","hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":2,"vocab_size":8})";

const std::array readers = {
    Reader{"config.json", [](const Directory& directory) { (void)read_hf_config(directory); }},
    Reader{"generation_config.json", [](const Directory& directory) { (void)read_stop_ids(directory); }},
    Reader{"adapter_config.json", [](const Directory& directory) { (void)read_adapter_config(directory); }},
    Reader{"model.safetensors.index.json", [](const Directory& directory) { WeightFiles files(directory); }},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const TemporaryDirectory directory;
  const Reader& reader = readers[data[0] % readers.size()];
  std::filesystem::remove(directory / reader.file);  // written over, some file systems wait for the disk
  std::ofstream(directory / reader.file, std::ios::binary)
      .write(reinterpret_cast<const char*>(data) + 1, static_cast<std::streamsize>(size - 1));
  try {
    reader.read(directory.path());
  } catch (const FileError& error) {
    require(std::string(error.what()).starts_with(directory.path().string()),
            "an error does not name its file");
  }
  return 0;
}

std::vector<std::string> seeds() {
  return {
      std::string("\0", 1) + config_json,
      std::string("\0", 1) +
          R"({"model_type":"qwen2","hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":8,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192},"rope_theta":500000.0,"tie_word_embeddings":true,"eos_token_id":[1,2]})",
      std::string("\0", 1) +
          R"({"model_type":"llama","hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":2,"vocab_size":8,"quantization_config":{"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_quant_type":"nf4","bnb_4bit_use_double_quant":true}})",
      std::string("\1") + R"({"eos_token_id":[1,2]})",
      std::string("\2") +
          R"({"peft_type":"LORA","r":8,"lora_alpha":16,"lora_dropout":0.1,"use_rslora":true,"target_modules":["q_proj","lm_head"],"bias":"none","modules_to_save":["embed_tokens"],"rank_pattern":{},"init_lora_weights":true})",
      std::string("\2") + R"({"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":"all-linear"})",
      std::string("\3") +
          R"({"metadata":{"total_size":8},"weight_map":{"model.norm.weight":"model-00001-of-00001.safetensors"}})",
  };
}
