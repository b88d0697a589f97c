#include "engine/prefix_cache.h"

#include <set>

#include "engine/share_chunk.h"
#include "engine_runs.h"

namespace touchstone {
namespace {

using testing::expect_same;
using testing::greedy_request;
using testing::load;
using testing::random_ids;
using testing::random_request;
using testing::run_alone;
using testing::small;
using testing::some_model;

std::size_t common_length(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  std::size_t length = 0;
  while (length < a.size() && length < b.size() && a[length] == b[length]) ++length;
  return length;
}

/// Blocks for a text, as a sequence has them.
std::vector<std::int32_t> take_blocks(BlockPool& pool, PrefixCache& cache, std::size_t tokens) {
  std::vector<std::int32_t> blocks;
  while (blocks.size() * PrefixCache::block_tokens < tokens) {
    if (pool.num_free() == 0 && !cache.evict()) ADD_FAILURE() << "no block left";
    blocks.push_back(*pool.take());
  }
  return blocks;
}

void release(BlockPool& pool, const std::vector<std::int32_t>& blocks) {
  for (const std::int32_t block : blocks) pool.release(block);
}

std::size_t find_length(PrefixCache& cache, BlockPool& pool, std::string_view salt,
                        const std::vector<std::int32_t>& ids) {
  const PrefixCache::Match match = cache.find(salt, ids);
  release(pool, match.blocks);
  if (match.partial_block) pool.release(*match.partial_block);
  return match.tokens();
}

TEST(PrefixCache, FindsTheLongestBeginningThatWasTakenInUnderTheSalt) {
  std::mt19937 random(1);
  BlockPool pool(100000);
  PrefixCache cache(pool);
  std::vector<std::pair<std::string, std::vector<std::int32_t>>> texts;
  for (int i = 0; i < 300; ++i) {
    std::vector<std::int32_t> ids = random_ids(random, 1 + random() % 150, 2);
    if (!texts.empty() && random() % 3 != 0) {  // goes on from an earlier one
      const std::vector<std::int32_t>& earlier = texts[random() % texts.size()].second;
      ids.insert(ids.begin(), earlier.begin(),
                 earlier.begin() + static_cast<std::ptrdiff_t>(random() % (earlier.size() + 1)));
    }
    const std::string salt = random() % 2 == 0 ? "" : "key";
    std::size_t longest = 0;
    for (const auto& [other_salt, text] : texts) {
      if (other_salt == salt) longest = std::max(longest, common_length(text, ids));
    }
    EXPECT_EQ(find_length(cache, pool, salt, ids), longest);
    std::vector<std::int32_t> blocks = take_blocks(pool, cache, ids.size());
    cache.insert(salt, ids, blocks);
    EXPECT_EQ(find_length(cache, pool, salt, ids), ids.size());
    release(pool, blocks);
    texts.emplace_back(salt, std::move(ids));
  }
  EXPECT_EQ(pool.num_free() + cache.num_blocks(), pool.size());
  EXPECT_EQ(pool.num_only_kept(), cache.num_blocks());
  cache.clear();
  EXPECT_EQ(cache.num_blocks(), 0);
  EXPECT_EQ(pool.num_free(), pool.size());
  EXPECT_EQ(find_length(cache, pool, "", texts.front().second), 0U);
}

TEST(PrefixCache, TextsThatAreEqualStandInItOnce) {
  BlockPool pool(10);
  PrefixCache cache(pool);
  const std::vector<std::int32_t> ids(64, 7);
  std::vector<std::int32_t> first = take_blocks(pool, cache, 64);
  std::vector<std::int32_t> second = take_blocks(pool, cache, 64);
  cache.insert("", ids, first);
  cache.insert("", ids, second);
  EXPECT_EQ(second, first);
  EXPECT_EQ(pool.num_free(), 8);
  std::vector<std::int32_t> salted = take_blocks(pool, cache, 64);
  cache.insert("key", ids, salted);
  EXPECT_NE(salted, first);
}

TEST(PrefixCache, EvictsTheLeastRecentlyUsedThatNobodyHolds) {
  BlockPool pool(6);
  PrefixCache cache(pool);
  std::vector<std::vector<std::int32_t>> texts;
  std::vector<std::vector<std::int32_t>> blocks;
  for (std::int32_t i = 0; i < 3; ++i) {
    texts.emplace_back(64, i);
    blocks.push_back(take_blocks(pool, cache, 64));
    cache.insert("", texts.back(), blocks.back());
  }
  EXPECT_FALSE(cache.evict());  // all are held
  for (const auto& held : blocks) release(pool, held);
  EXPECT_EQ(pool.num_only_kept(), 6);
  EXPECT_EQ(find_length(cache, pool, "", texts[0]), 64U);  // used: 1 is the oldest now
  EXPECT_TRUE(cache.evict());
  EXPECT_TRUE(cache.evict());
  EXPECT_EQ(find_length(cache, pool, "", texts[1]), 0U);
  const PrefixCache::Match held = cache.find("", texts[2]);
  EXPECT_TRUE(cache.evict());
  EXPECT_TRUE(cache.evict());
  EXPECT_FALSE(cache.evict());
  EXPECT_EQ(held.tokens(), 64U);
  EXPECT_EQ(find_length(cache, pool, "", texts[0]), 0U);
  EXPECT_EQ(pool.num_free(), 4);
  release(pool, held.blocks);
}

TEST(ShareChunk, HalfOfAStepGoesToTheOldestPromptAndTheRestToTheShortest) {
  const auto share = [](std::vector<std::size_t> left, std::size_t budget) {
    return share_chunk(left, budget);
  };
  using Counts = std::vector<std::size_t>;
  EXPECT_EQ(share({}, 256), Counts{});
  EXPECT_EQ(share({1000}, 256), Counts{256});
  EXPECT_EQ(share({1000, 1000}, 256), (Counts{256, 0}));
  EXPECT_EQ(share({4000, 20}, 256), (Counts{236, 20}));
  EXPECT_EQ(share({4000, 300, 100}, 256), (Counts{128, 28, 100}));
  EXPECT_EQ(share({10, 20, 30}, 256), (Counts{10, 20, 30}));
  EXPECT_EQ(share({4000, 1}, 1), (Counts{1, 0}));
}

/// Conversations whose turns begin with what was said before, in turn or side by side, under few salts.
struct Turn {
  GenerateRequest request;
  std::size_t known = 0;  // of the prompt: computed by the turn before
};

std::vector<std::vector<Turn>> make_conversations(const std::shared_ptr<LoadedModel>& model,
                                                  std::uint32_t seed, std::size_t count) {
  std::mt19937 random(seed);
  const std::int32_t vocab_size = model->tokenizer.vocab_size();
  const std::vector<std::int32_t> system = random_ids(random, 45, vocab_size);
  std::vector<std::vector<Turn>> conversations;
  for (std::size_t c = 0; c < count; ++c) {
    std::vector<Turn> turns;
    std::vector<std::int32_t> history = system;
    const std::string salt = random() % 2 == 0 ? "a" : "b";
    for (int t = 0; t < 4; ++t) {
      Turn turn{.request = random_request(random, *model), .known = t == 0 ? 0 : history.size() - 1};
      const std::vector<std::int32_t> added = random_ids(random, 1 + random() % 40, vocab_size);
      history.insert(history.end(), added.begin(), added.end());
      turn.request.prompt_ids = history;
      turn.request.cache_salt = salt;
      const auto answer = run_alone(model, {.context_tokens = 4096, .prefix_cache = false}, {turn.request});
      const std::vector<std::int32_t>& said = answer.front().samples.front().ids;
      history.insert(history.end(), said.begin(), said.end());
      turns.push_back(std::move(turn));
    }
    conversations.push_back(std::move(turns));
  }
  return conversations;
}

/// Runs the conversations side by side in one engine, each turn when the one before is done.
std::vector<std::vector<GenerateResult>> run_conversations(
    const std::shared_ptr<LoadedModel>& model, const EngineOptions& options,
    const std::vector<std::vector<Turn>>& conversations) {
  Engine engine(model, options);
  std::vector<std::vector<GenerateResult>> results(conversations.size());
  std::map<Engine::RequestId, std::size_t> places;
  for (std::size_t c = 0; c < conversations.size(); ++c) {
    places[engine.submit(conversations[c].front().request)] = c;
  }
  while (!engine.idle()) {
    for (auto& [id, result] : engine.step()) {
      const std::size_t c = places.at(id);
      results[c].push_back(std::move(result));
      const std::size_t next = results[c].size();
      if (next < conversations[c].size()) places[engine.submit(conversations[c][next].request)] = c;
    }
  }
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
  EXPECT_EQ(engine.load().used_blocks, 0);
  engine.clear_prefix_cache();
  EXPECT_EQ(engine.load().cached_blocks, 0);
  return results;
}

void expect_same_bytes_with_a_cache(const std::shared_ptr<LoadedModel>& model, std::uint32_t seed) {
  const auto conversations = make_conversations(model, seed, 5);
  const auto expected =
      run_conversations(model, {.context_tokens = 16384, .prefix_cache = false}, conversations);
  std::vector<EngineOptions> many;
  many.push_back({.context_tokens = 16384});
  many.push_back({.context_tokens = 16384, .prefill_chunk = 7});
  many.push_back({.max_batch = 2, .context_tokens = 16384, .prefill_chunk = 33, .lookup = Lookup::on});
  many.push_back({.context_tokens = 12 * kKvBlockTokens, .prefill_chunk = 40});  // with evictions
  for (const EngineOptions& options : many) {
    SCOPED_TRACE("chunk " + std::to_string(options.prefill_chunk) + ", context " +
                 std::to_string(options.context_tokens));
    const auto actual = run_conversations(model, options, conversations);
    for (std::size_t c = 0; c < conversations.size(); ++c) {
      expect_same(actual[c], expected[c]);
      for (const GenerateResult& result : expected[c]) EXPECT_EQ(result.cached_tokens, 0);
      if (options.context_tokens < 16384) continue;
      for (std::size_t t = 0; t < actual[c].size(); ++t) {
        const auto cached = static_cast<std::size_t>(actual[c][t].cached_tokens);
        EXPECT_GE(cached, conversations[c][t].known);
        EXPECT_LT(cached, conversations[c][t].request.prompt_ids.size());
      }
    }
  }
}

TEST(PrefixCacheLaws, ACacheHitGivesTheBytesOfAMiss) {
  expect_same_bytes_with_a_cache(load(some_model()), 30);
}

TEST(HeavyPrefixCacheLaws, ACacheHitGivesTheBytesOfAMissInAllModelsAndFormats) {
  std::uint32_t seed = 31;
  for (const auto& folder : testing::golden_models()) {
    for (const char* format : {"f32", "f16", "bf16", "int8"}) {
      SCOPED_TRACE(folder.filename().string() + " " + format);
      LoadOptions options;
      options.num_threads = 1;
      options.kv_dtype = format;
      expect_same_bytes_with_a_cache(std::make_shared<LoadedModel>(load_model(folder.string(), options)),
                                     seed++);
    }
  }
}

TEST(PrefixCacheLaws, ATurnComputesOnlyWhatIsNewInIt) {
  const auto model = load(some_model());
  Engine engine(model, small());
  std::mt19937 random(32);
  GenerateRequest request = greedy_request(random_ids(random, 100, 500), 10);
  const GenerateResult first = engine.generate(request);
  EXPECT_EQ(first.cached_tokens, 0);
  // The last token of the answer was never run.
  request.prompt_ids.insert(request.prompt_ids.end(), first.samples.front().ids.begin(),
                            first.samples.front().ids.end());
  request.prompt_ids.push_back(3);
  EXPECT_EQ(engine.generate(request).cached_tokens, 109);
  EXPECT_EQ(engine.generate(request).cached_tokens, 110);  // the last one is run for its logits
  EXPECT_EQ(engine.load().cached_tokens, 219);
  request.cache_salt = "another key";
  EXPECT_EQ(engine.generate(request).cached_tokens, 0);
}

TEST(PrefixCacheLaws, EqualPromptsThatComeTogetherAreComputedOnce) {
  const auto model = load(some_model());
  EngineOptions options = small();
  options.prefill_chunk = 32;
  Engine engine(model, options);
  std::mt19937 random(33);
  const std::vector<std::int32_t> prompt = random_ids(random, 200, 500);
  for (int i = 0; i < 4; ++i) engine.submit(greedy_request(prompt, 3));
  int steps = 0;
  std::int32_t cached = 0;
  while (!engine.idle()) {
    ++steps;
    for (const auto& [id, result] : engine.step()) cached += result.cached_tokens;
  }
  EXPECT_GE(cached, 3 * 160);
  EXPECT_LE(steps, 14);
}

TEST(Scheduling, ALongPromptDelaysOthersTokensByOneChunkAtMost) {
  const auto model = load(some_model());
  EngineOptions options = small(8192);
  options.prefill_chunk = 64;
  Engine engine(model, options);
  std::mt19937 random(34);
  std::size_t made = 0;
  GenerateRequest decoding = greedy_request(random_ids(random, 10, 500), 60);
  decoding.on_token = [&](const TokenEvent&) { return ++made > 0; };
  engine.submit(decoding);
  engine.step();
  engine.submit(greedy_request(random_ids(random, 2000, 500), 1));
  std::size_t short_ones = 0;
  GenerateRequest brief = greedy_request(random_ids(random, 20, 500), 1);
  brief.on_token = [&](const TokenEvent&) { return ++short_ones > 0; };
  engine.step();
  engine.submit(brief);
  for (std::size_t step = 0; step < 20; ++step) {
    const std::size_t before = made;
    engine.step();
    EXPECT_GE(made, before + 1) << "in step " << step;
  }
  EXPECT_EQ(short_ones, 1U);  // does not wait for the long prompt, which needs 32 steps
}

}  // namespace
}  // namespace touchstone
