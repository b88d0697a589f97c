// Writes what the fuzz targets begin with: FOLDER/TARGET/NUMBER.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "formats/builders.h"
#include "fuzz/http_seeds.h"
#include "fuzz/request_seeds.h"
#include "support/golden.h"
#include "support/json_schema_check.h"
#include "text/tokenizer_support.h"

using namespace touchstone::testing;

namespace {

void write_seeds(const std::filesystem::path& folder, const std::vector<std::string>& seeds) {
  for (std::size_t i = 0; i < seeds.size(); ++i) write_file(folder / std::to_string(i), seeds[i]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_fuzz_seeds FOLDER\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::vector<std::string> requests, documents, with_choices, templates;
  for (const auto& [api, body] : kRequestSeeds) {
    requests.push_back(api + body);
    documents.push_back(body);
  }
  for (const std::string& schema : schemas()) with_choices.push_back("0123456789\n" + schema);
  for (const auto& file :
       std::filesystem::directory_iterator(source_dir() / "tests/golden/templates/templates"))
    templates.push_back(read_file(file.path()));
  write_seeds(folder / "request", requests);
  write_seeds(folder / "http", http_seeds());
  write_seeds(folder / "json", documents);
  write_seeds(folder / "schema", with_choices);
  write_seeds(folder / "template", templates);
  write_seeds(folder / "tokenizer", {boost::json::serialize(small_tokenizer_json())});
  write_seeds(folder / "gguf", {tiny_gguf_model().build(), tiny_gguf_model("llama").build()});
  write_seeds(
      folder / "safetensors",
      {safetensors(
          R"({"__metadata__":{"format":"pt"},"aa":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
          R"("bb":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})",
          std::string(32, 'x'))});
}
