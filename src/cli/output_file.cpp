#include "cli/output_file.h"

#include "base/blob.h"
#include "base/error.h"

namespace touchstone::cli {

void check_output_file(const std::filesystem::path& path, const Checkpoint& model) {
  for (const Blob& blob : model.blobs) {
    std::error_code ignored;
    if (std::filesystem::equivalent(blob.name, path, ignored)) {
      throw Error(path.string() + " is the model itself", "name another file");
    }
  }
  const AtomicFile probe(path);
}

}  // namespace touchstone::cli
