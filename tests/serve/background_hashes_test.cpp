#include "serve/background_hashes.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <future>

#include "base/clock.h"
#include "running_server.h"

namespace touchstone::serve {
namespace {

/// A model whose files take minutes to hash: one page of zeros is all the memory that so many bytes need.
std::shared_ptr<LoadedModel> endless_model() {
  constexpr std::size_t kBytes = std::size_t{1} << 38U;
  auto model = load_demo("native");
  void* memory = mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const std::shared_ptr<const void> owner(memory, [](void* mapped) { munmap(mapped, kBytes); });
  model->checkpoint.blobs = {
      {.name = "endless", .bytes = {static_cast<const std::byte*>(memory), kBytes}, .owner = owner}};
  return model;
}

TEST(BackgroundHashes, AreThoseOfTheModel) {
  const auto model = load_demo("native");
  BackgroundHashes hashes(model);
  std::promise<ModelHashes> promise;
  hashes.when_known([&](const ModelHashes* known) { promise.set_value(known ? *known : ModelHashes()); });
  EXPECT_EQ(promise.get_future().get(), hash_model(*model));
  EXPECT_EQ(hashes.look(), hash_model(*model));
  hashes.stop();  // what is known stays so
  EXPECT_EQ(hashes.look(), hash_model(*model));
}

TEST(BackgroundHashes, ThatAreStoppedCannotBeHadByThoseWhoWaitOrCome) {
  const auto start = Clock::now();
  int told = 0;
  const auto tell = [&](const ModelHashes* known) { told += known == nullptr ? 1 : 100; };
  {
    BackgroundHashes hashes(endless_model());
    hashes.when_known(tell);
    hashes.when_known(tell);
    EXPECT_EQ(told, 0);
    hashes.stop();
    EXPECT_EQ(told, 2);
    hashes.when_known(tell);
    EXPECT_EQ(told, 3);
    EXPECT_FALSE(hashes.look());
  }
  EXPECT_EQ(told, 3);
  EXPECT_LT(seconds_since(start), 60);
}

TEST(BackgroundHashes, DoNotHoldUpTheServersEnd) {
  const auto start = Clock::now();
  ServerOptions options = test_options();
  options.drain_seconds = 0.2;
  Server server({endless_model()}, options);
  std::thread thread = run_in_background(server);
  TestClient client(server.port());
  client.send(chat(R"(,"max_tokens":2,"receipt":true)"));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  server.drain();
  thread.join();
  const int status = client.receive().status;
  EXPECT_TRUE(status == 503 || status == 0) << status;
  EXPECT_LT(seconds_since(start), 60);
}

}  // namespace
}  // namespace touchstone::serve
