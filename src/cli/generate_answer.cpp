#include "cli/generate_answer.h"

#include <utility>

#include "base/interrupt.h"

namespace touchstone::cli {

GenerateResult generate_answer(Engine& engine, GenerateRequest request) {
  const Engine::RequestId id = engine.submit(std::move(request));
  try {
    while (true) {
      if (interrupted()) engine.cancel(id);
      for (auto& [done, result] : engine.step()) {
        if (done == id) return std::move(result);
      }
    }
  } catch (...) {  // leave nothing of it behind
    engine.cancel(id);
    engine.step();
    throw;
  }
}

}  // namespace touchstone::cli
