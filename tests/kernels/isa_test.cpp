// The law of the kernels: one order of summation. Every instruction set gives the bits of the scalar kernels,
// and no way of cutting a product into calls changes them.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <span>

#include "base/error.h"
#include "kernels/cpu_backend.h"
#include "kernels/kernels.h"
#include "kernels/quant_blocks.h"
#include "quantized_rows.h"

namespace touchstone {
namespace {

using Floats = std::vector<float>;

/// The tables that this CPU can run, scalar excepted.
std::vector<const KernelTable*> list_tables() {
  std::vector<const KernelTable*> tables;
  for (const char* isa : {"avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx"}) {
    try {
      tables.push_back(&choose_kernels(isa));
    } catch (const Error&) {  // this CPU lacks it
    }
  }
  return tables;
}

std::vector<std::uint32_t> bits_of(const Floats& values) {
  std::vector<std::uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  float normal() { return std::normal_distribution<float>()(engine_); }
  Floats normals(std::size_t n) {
    Floats values(n);
    for (float& value : values) value = normal();
    return values;
  }
  template <class T>
  T pick(std::initializer_list<T> from) {
    return from.begin()[between(0, static_cast<int>(from.size()) - 1)];
  }

 private:
  std::mt19937 engine_;
};

std::uint16_t to_half(float value) {  // normal numbers only, truncated
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>(((bits >> 16) & 0x8000U) | (((bits >> 13) & 0x3FFFFU) - (112U << 10)));
}

/// A stored matrix with random contents of a type, and its values.
struct RandomMatrix {
  RandomMatrix(DType dtype, int rows, int columns, Random& random) {
    bytes.resize(dtype_bytes(dtype, static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns)));
    const DTypeInfo& info = dtype_info(dtype);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.between(0, 255));
    for (std::size_t at = 0; at < bytes.size(); at += info.block_bytes) {
      write_sane_numbers(dtype, bytes.data() + at, info.block_bytes, random);
    }
    stored = {dtype, rows, columns, bytes};
  }

  Floats row(int r) const {
    Floats values(static_cast<std::size_t>(stored.columns));
    read_row(stored, r, values);
    return values;
  }

  StoredMatrix stored;
  std::vector<std::byte> bytes;

 private:
  /// Random bytes are fine as integers, but not as floats: those get small normal numbers.
  static void write_sane_numbers(DType dtype, std::byte* block, std::size_t block_bytes, Random& random) {
    const float value = 0.01F + std::fabs(random.normal());
    const std::uint16_t halves[2] = {to_half(value), to_half(value * 0.7F)};
    if (dtype == DType::f32) {
      std::memcpy(block, &value, sizeof value);
    } else if (dtype == DType::bf16) {
      const auto top = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(-value) >> 16);
      std::memcpy(block, &top, sizeof top);
    } else if (dtype == DType::q6_k) {
      std::memcpy(block + block_bytes - 2, halves, 2);
    } else {
      const bool two =
          dtype == DType::q4_1 || dtype == DType::q5_1 || dtype == DType::q4_k || dtype == DType::q5_k;
      std::memcpy(block, halves, two ? 4 : 2);
    }
  }
};

constexpr DType kAllTypes[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1,
                               DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k};

int random_columns(DType dtype, Random& random) {
  const auto block = static_cast<int>(dtype_info(dtype).block_values);
  if (block == 1) return random.between(1, 400);
  return block * random.between(1, 600 / block + 1);
}

/// All outputs of num_tokens tokens, [num_tokens, 16 * panels]: multiply(first panel, panels, first token,
/// tokens, sums) is called for parts of the given numbers of panels and tokens.
template <class Multiply>
Floats multiply_in_parts(const PackedMatrix& packed, int num_tokens, int panels_each, int tokens_each,
                         const Multiply& multiply) {
  const int stride = packed.num_panels() * kLanes;
  Floats result(static_cast<std::size_t>(num_tokens * stride));
  Floats sums(2 * kSumsSize);
  for (int token = 0; token < num_tokens; token += tokens_each) {
    const int tokens = std::min(tokens_each, num_tokens - token);
    for (int panel = 0; panel < packed.num_panels(); panel += panels_each) {
      const int panels = std::min(panels_each, packed.num_panels() - panel);
      multiply(panel, panels, token, tokens, sums.data());
      for (int t = 0; t < tokens; ++t) {
        for (int p = 0; p < panels; ++p) {
          std::copy_n(sums.data() + p / kMaxPanels * kSumsSize + t * kSumStride + p % kMaxPanels * kLanes,
                      kLanes, result.data() + (token + t) * stride + (panel + p) * kLanes);
        }
      }
    }
  }
  return result;
}

/// The products of x [num_tokens, columns].
Floats multiply_all(const KernelTable& kernels, const PackedMatrix& packed, const Floats& x, int panels_each,
                    int tokens_each) {
  Floats tile(std::size_t{3} * kSumBlock * kLanes);
  return multiply_in_parts(packed, static_cast<int>(x.size()) / packed.columns, panels_each, tokens_each,
                           [&](int panel, int panels, int token, int tokens, float* sums) {
                             kernels.multiply(view(packed), panel, panels, x.data() + token * packed.columns,
                                              static_cast<std::size_t>(packed.columns), tokens, tile.data(),
                                              sums);
                           });
}

class Multiply : public ::testing::TestWithParam<DType> {};

TEST_P(Multiply, HasTheSameBitsOnEveryInstructionSetAndHoweverItIsCut) {
  Random random(7 + static_cast<std::uint32_t>(GetParam()));
  ThreadPool pool(2);
  for (int round = 0; round < 6; ++round) {
    const int columns = random_columns(GetParam(), random);
    const RandomMatrix matrix(GetParam(), random.between(1, 140), columns, random);
    const PackedMatrix packed = pack_matrix(matrix.stored, PackAs::stored, {}, pool);
    const int num_tokens = random.between(1, 20);
    const Floats x = random.normals(static_cast<std::size_t>(num_tokens) * static_cast<std::size_t>(columns));
    const auto expected = bits_of(multiply_all(choose_kernels("scalar"), packed, x, 1, 1));
    EXPECT_EQ(bits_of(multiply_all(choose_kernels("scalar"), packed, x, kMaxPanels, 5)), expected);
    for (const KernelTable* kernels : list_tables()) {
      for (int cut = 0; cut < 4; ++cut) {
        const int panels_each = random.between(1, kMaxPanels);
        const int tokens_each = cut == 0 ? 1 : random.between(1, num_tokens);
        EXPECT_EQ(bits_of(multiply_all(*kernels, packed, x, panels_each, tokens_each)), expected)
            << kernels->isa << ": " << matrix.stored.rows << "x" << columns << ", " << num_tokens
            << " tokens by " << tokens_each << ", " << panels_each << " panels";
      }
    }
  }
}

TEST_P(Multiply, SumsTheStoredValues) {
  Random random(70 + static_cast<std::uint32_t>(GetParam()));
  ThreadPool pool(1);
  const int columns = random_columns(GetParam(), random);
  const RandomMatrix matrix(GetParam(), 37, columns, random);
  const PackedMatrix packed = pack_matrix(matrix.stored, PackAs::stored, {}, pool);
  const Floats x = random.normals(static_cast<std::size_t>(columns));
  const Floats y = multiply_all(choose_kernels("auto"), packed, x, kMaxPanels, 1);
  for (int r = 0; r < 37; ++r) {
    double sum = 0, magnitude = 0;
    const Floats row = matrix.row(r);
    for (std::size_t k = 0; k < row.size(); ++k) {
      sum += static_cast<double>(row[k]) * static_cast<double>(x[k]);
      magnitude += std::fabs(static_cast<double>(row[k]) * static_cast<double>(x[k]));
    }
    EXPECT_NEAR(y[static_cast<std::size_t>(r)], sum, magnitude * 1e-6) << "row " << r;
  }
}

TEST_P(Multiply, WidenedWeightsGiveTheBitsOfStoredOnes) {
  Random random(700 + static_cast<std::uint32_t>(GetParam()));
  ThreadPool pool(2);
  const int columns = random_columns(GetParam(), random);
  const RandomMatrix matrix(GetParam(), 50, columns, random);
  const Floats x = random.normals(3 * static_cast<std::size_t>(columns));
  const KernelTable& kernels = choose_kernels("auto");
  EXPECT_EQ(bits_of(multiply_all(kernels, pack_matrix(matrix.stored, PackAs::float32, {}, pool), x, 6, 3)),
            bits_of(multiply_all(kernels, pack_matrix(matrix.stored, PackAs::stored, {}, pool), x, 6, 3)));
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Multiply, ::testing::ValuesIn(kAllTypes),
                         [](const auto& info) { return std::string(dtype_info(info.param).name); });

/// As multiply_all, in integers.
Floats multiply_all_ints(const KernelTable& kernels, const PackedMatrix& packed, const Quantized& x,
                         int panels_each, int tokens_each) {
  Floats tile(std::size_t{3} * kSumBlock * kLanes);
  return multiply_in_parts(packed, x.num_rows, panels_each, tokens_each,
                           [&](int panel, int panels, int token, int tokens, float* sums) {
                             kernels.multiply_ints(view(packed), panel, panels, x.from(token), tokens,
                                                   tile.data(), sums);
                           });
}

TEST(Quantize, RoundsToTheNearestWithTheLargestAt127) {
  Random random(5);
  for (const int columns : {1, 3, 128, 200, 576}) {
    const Floats x = random.normals(static_cast<std::size_t>(columns));
    const Quantized scalar(choose_kernels("scalar"), x, columns);
    for (int k = 0; k < columns; ++k) {
      const auto group = static_cast<std::size_t>(k / kIntGroup);
      const auto at = static_cast<std::size_t>(k);
      EXPECT_LE(std::fabs(x[at] - scalar.scales[group] * static_cast<float>(scalar.q[at])),
                0.5001F * scalar.scales[group]);
    }
    for (std::size_t group = 0; group < scalar.scales.size(); ++group) {
      const auto q = std::span(scalar.q).subspan(group * kIntGroup, kIntGroup);
      for (std::size_t part = 0; part + 1 < kIntSums; ++part) {
        const auto of_part = q.subspan(part * kIntPart, kIntPart);
        EXPECT_EQ(std::accumulate(of_part.begin(), of_part.end(), 0), scalar.sums[group * kIntSums + part]);
      }
      EXPECT_EQ(std::accumulate(q.begin(), q.end(), 0), scalar.sums[group * kIntSums + kIntSums - 1]);
      EXPECT_TRUE(std::any_of(q.begin(), q.end(), [](std::int8_t n) { return std::abs(n) == 127; }));
    }
    for (const KernelTable* kernels : list_tables()) {
      const Quantized other(*kernels, x, columns);
      EXPECT_EQ(other.q, scalar.q) << kernels->isa;
      EXPECT_EQ(bits_of(other.scales), bits_of(scalar.scales)) << kernels->isa;
      EXPECT_EQ(other.sums, scalar.sums) << kernels->isa;
    }
  }
  const Quantized zeros(choose_kernels("auto"), Floats(200), 200);
  EXPECT_EQ(zeros.scales, Floats(2));
  EXPECT_EQ(zeros.q, std::vector<std::int8_t>(256));
}

TEST(Rounding, To16BitsIsTheSameOnEveryInstructionSet) {
  Floats x;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 10007) {  // of every kind
    const auto pattern = static_cast<std::uint32_t>(bits);
    x.push_back(std::bit_cast<float>(pattern));
  }
  const auto n = static_cast<std::int32_t>(x.size());
  for (const KernelTable* kernels : list_tables()) {
    std::vector<std::uint16_t> halves(x.size()), bfloats(x.size());
    kernels->round_to_f16(x.data(), n, halves.data());
    kernels->round_to_bf16(x.data(), n, bfloats.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(halves[i], float_to_half(std::clamp(x[i], -65504.0F, 65504.0F))) << kernels->isa << x[i];
      ASSERT_EQ(bfloats[i], float_to_bfloat16(x[i])) << kernels->isa << x[i];
    }
  }
}

class Integers : public ::testing::TestWithParam<PackAs> {};

TEST_P(Integers, GiveTheSameBitsOnEveryInstructionSetAndHoweverAProductIsCut) {
  Random random(6);
  ThreadPool pool(2);
  for (int round = 0; round < 12; ++round) {
    const int columns = random.between(1, 700);
    const RandomMatrix matrix(DType::f32, random.between(1, 140), columns, random);
    const PackedMatrix packed = pack_matrix(matrix.stored, GetParam(), {}, pool);
    const int num_tokens = random.between(1, 50);
    const Floats x = random.normals(static_cast<std::size_t>(num_tokens * columns));
    const Quantized q(choose_kernels("scalar"), x, columns);
    const auto expected = bits_of(multiply_all_ints(choose_kernels("scalar"), packed, q, 1, 1));
    EXPECT_EQ(bits_of(multiply_all_ints(choose_kernels("scalar"), packed, q, kMaxPanels, 5)), expected);
    for (const KernelTable* kernels : list_tables()) {
      for (int cut = 0; cut < 4; ++cut) {
        const int tokens_each = cut == 0 ? 1 : random.between(1, num_tokens);
        EXPECT_EQ(bits_of(multiply_all_ints(*kernels, packed, q, random.between(1, kMaxPanels), tokens_each)),
                  expected)
            << kernels->isa << ": " << matrix.stored.rows << "x" << columns << ", " << num_tokens
            << " tokens";
      }
    }
  }
}

TEST_P(Integers, ComeWithinTheirRoundingOfTheFloats) {
  Random random(8);
  ThreadPool pool(2);
  const int columns = 500;
  Floats weights = random.normals(static_cast<std::size_t>(30 * columns));
  for (float& weight : weights) weight *= 0.02F;
  const StoredMatrix stored{DType::f32, 30, columns, std::as_bytes(std::span(weights))};
  const Floats x = random.normals(2 * columns);
  const KernelTable& kernels = choose_kernels("auto");
  const Floats exact = multiply_all(kernels, pack_matrix(stored, PackAs::float32, {}, pool), x, 6, 2);
  const Floats ints = multiply_all_ints(kernels, pack_matrix(stored, GetParam(), {}, pool),
                                        Quantized(kernels, x, columns), 6, 2);
  double error = 0, square = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(static_cast<double>(exact[i]) - static_cast<double>(ints[i]), 2);
    square += std::pow(static_cast<double>(exact[i]), 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(std::sqrt(error / square), GetParam() == PackAs::int8   ? 0.01
                                       : GetParam() == PackAs::int6 ? 0.03
                                                                    : 0.1);
}

TEST_P(Integers, OfWeightsThatAreNotFiniteMakeTheirOutputNotANumber) {
  ThreadPool pool(1);
  Floats weights(200, 1.0F);
  weights[150] = std::numeric_limits<float>::infinity();
  const PackedMatrix packed =
      pack_matrix({DType::f32, 1, 200, std::as_bytes(std::span(weights))}, GetParam(), {}, pool);
  const KernelTable& kernels = choose_kernels("auto");
  EXPECT_TRUE(
      std::isnan(multiply_all_ints(kernels, packed, Quantized(kernels, Floats(200, 1.0F), 200), 1, 1)[0]));
}

TEST_P(Integers, OfInputsThatAreNotFiniteMakeTheOutputsNotNumbers) {
  ThreadPool pool(1);
  const Floats weights(200, 1.0F);
  const PackedMatrix packed =
      pack_matrix({DType::f32, 1, 200, std::as_bytes(std::span(weights))}, GetParam(), {}, pool);
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (const std::size_t at : {0U, 100U, 127U, 128U, 199U}) {
      Floats x(200, 1.0F);
      x[at] = bad;
      for (const KernelTable* kernels : list_tables()) {
        const Quantized q(*kernels, x, 200);
        EXPECT_FALSE(std::isfinite(multiply_all_ints(*kernels, packed, q, 1, 1)[0])) << kernels->isa << at;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Integers, integer_types(), name_integer_type);

/// As multiply_all, in bfloat16; x: [num_tokens, columns], rounded here.
Floats multiply_all_pairs(const KernelTable& kernels, const PackedMatrix& packed, const Floats& x,
                          int panels_each, int tokens_each) {
  const int columns = packed.columns;
  const int num_tokens = static_cast<int>(x.size()) / columns;
  const int num_blocks = (columns + kSumBlock - 1) / kSumBlock;
  std::vector<std::uint16_t> rows(static_cast<std::size_t>(num_blocks * num_tokens * kSumBlock));
  for (int t = 0; t < num_tokens; ++t) {
    for (int i = 0; i < columns; ++i) {
      rows[static_cast<std::size_t>((i / kSumBlock * num_tokens + t) * kSumBlock + i % kSumBlock)] =
          float_to_bfloat16(x[static_cast<std::size_t>(t * columns + i)]);
    }
  }
  return multiply_in_parts(packed, num_tokens, panels_each, tokens_each,
                           [&](int panel, int panels, int token, int tokens, float* sums) {
                             kernels.multiply_pairs(view(packed), panel, panels,
                                                    rows.data() + token * kSumBlock,
                                                    static_cast<std::size_t>(num_tokens), tokens, sums);
                           });
}

TEST(Pairs, GiveTheSameBitsOnEveryInstructionSetAndHoweverAProductIsCut) {
  Random random(7);
  ThreadPool pool(2);
  for (int round = 0; round < 12; ++round) {
    const int columns = random.between(1, 700);
    const RandomMatrix matrix(DType::f32, random.between(1, 140), columns, random);
    const PackedMatrix packed = pack_matrix(matrix.stored, PackAs::bfloat16, {}, pool);
    const int num_tokens = random.between(1, 20);
    const Floats x = random.normals(static_cast<std::size_t>(num_tokens * columns));
    const auto expected = bits_of(multiply_all_pairs(choose_kernels("scalar"), packed, x, 1, 1));
    for (const KernelTable* kernels : list_tables()) {
      for (int cut = 0; cut < 4; ++cut) {
        const int tokens_each = cut == 0 ? 1 : random.between(1, num_tokens);
        EXPECT_EQ(
            bits_of(multiply_all_pairs(*kernels, packed, x, random.between(1, kMaxPanels), tokens_each)),
            expected)
            << kernels->isa << ": " << matrix.stored.rows << "x" << columns << ", " << num_tokens
            << " tokens";
      }
    }
  }
}

/// x * w over `columns` inputs as TDPBF16PS sums: of each 32, even and odd inputs apart.
float sum_as_tiles_do(const Floats& x, const Floats& w, int columns) {
  float sum = 0;
  for (int begin = 0; begin < columns; begin += 32) {
    float parts[2] = {};
    for (int k = begin; k < std::min(begin + 32, columns); ++k) {
      const auto i = static_cast<std::size_t>(k);
      parts[k % 2] = std::fma(bfloat16_to_float(float_to_bfloat16(x[i])),
                              bfloat16_to_float(float_to_bfloat16(w[i])), parts[k % 2]);
    }
    sum += parts[0] + parts[1];
  }
  return sum;
}

TEST(Pairs, AreSummedInTilesAsTheInstructionSaysHoweverAProductIsCut) {
  KernelTable tiles = choose_kernels("auto");
  tiles.multiply_pairs = tiles.multiply_pairs_in_tiles;
  if (tiles.multiply_pairs == nullptr) GTEST_SKIP() << "this CPU has no tiles of bfloat16";
  Random random(11);
  ThreadPool pool(2);
  for (int round = 0; round < 10; ++round) {
    const int columns = round == 0 ? 1536 : random.between(1, 700);
    const RandomMatrix matrix(DType::f32, random.between(1, 240), columns, random);
    const PackedMatrix packed = pack_matrix(matrix.stored, PackAs::bfloat16, {}, pool);
    const int num_tokens = random.between(1, 90);
    const Floats x = random.normals(static_cast<std::size_t>(num_tokens * columns));
    const int stride = packed.num_panels() * kLanes;
    Floats expected(static_cast<std::size_t>(num_tokens * stride));
    for (int t = 0; t < num_tokens; ++t) {
      const Floats row(x.begin() + t * columns, x.begin() + (t + 1) * columns);
      for (int o = 0; o < matrix.stored.rows; ++o)
        expected[static_cast<std::size_t>(t * stride + o)] = sum_as_tiles_do(row, matrix.row(o), columns);
    }
    for (int cut = 0; cut < 4; ++cut) {
      const int tokens_each = cut == 0 ? 1 : random.between(1, num_tokens);
      EXPECT_EQ(bits_of(multiply_all_pairs(tiles, packed, x, random.between(1, 2 * kMaxPanels), tokens_each)),
                bits_of(expected))
          << matrix.stored.rows << "x" << columns << ", " << num_tokens << " tokens, " << tokens_each
          << " at a time";
    }
  }
}

TEST(Pairs, ComeWithinRoundingOfTheProductsOfBfloat16) {
  Random random(9);
  ThreadPool pool(2);
  const int columns = 301;
  const RandomMatrix matrix(DType::bf16, 20, columns, random);
  Floats x = random.normals(static_cast<std::size_t>(columns));
  for (float& value : x) value = bfloat16_to_float(float_to_bfloat16(value));
  const Floats y = multiply_all_pairs(choose_kernels("auto"),
                                      pack_matrix(matrix.stored, PackAs::bfloat16, {}, pool), x, 6, 1);
  for (int row = 0; row < 20; ++row) {
    double sum = 0, size = 0;
    const Floats weights = matrix.row(row);
    for (std::size_t k = 0; k < x.size(); ++k) {
      sum += static_cast<double>(x[k]) * static_cast<double>(weights[k]);
      size += std::fabs(static_cast<double>(x[k]) * static_cast<double>(weights[k]));
    }
    EXPECT_NEAR(y[static_cast<std::size_t>(row)], sum, 1e-6 * size) << row;
  }
}

TEST(FloatToHalf, TakesTheNearestAndTheEvenOneOfTwo) {
  // Every half that is a number, the middle between it and the next, and what lies just beside the middle.
  for (std::uint32_t half = 0; half < 0x7BFFU; ++half) {
    const float low = half_to_float(static_cast<std::uint16_t>(half));
    const float high = half_to_float(static_cast<std::uint16_t>(half + 1));
    const float middle = (low + high) / 2;
    ASSERT_EQ(float_to_half(low), half);
    ASSERT_EQ(float_to_half(-low), half | 0x8000U);
    ASSERT_EQ(float_to_half(middle), half + half % 2) << low;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0F)), half) << low;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9F)), half + 1) << low;
  }
  EXPECT_EQ(half_to_float(float_to_half(65519.9F)), 65504.0F);
  EXPECT_TRUE(std::isinf(half_to_float(float_to_half(65520.0F))));
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

TEST(PackMatrix, TakesTheRowsInTheGivenOrder) {
  Random random(3);
  ThreadPool pool(2);
  const RandomMatrix matrix(DType::q5_0, 20, 64, random);
  std::vector<std::int32_t> order(20);
  for (int i = 0; i < 20; ++i) order[static_cast<std::size_t>(i)] = (i * 7) % 20;
  Floats x(64);
  x[5] = 1.0F;
  const Floats y =
      multiply_all(choose_kernels("auto"), pack_matrix(matrix.stored, PackAs::stored, order, pool), x, 6, 1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(y[static_cast<std::size_t>(i)], matrix.row((i * 7) % 20)[5]) << i;
}

TEST(PackMatrix, KeepsEveryHalfPrecisionScale) {
  // A Q8_0 block for each bit pattern of its scale that is a number.
  std::vector<std::byte> bytes;
  std::vector<float> scales;
  for (std::uint32_t half = 0; half < 0x10000U; ++half) {
    if ((half & 0x7C00U) == 0x7C00U) continue;
    const auto bits = static_cast<std::uint16_t>(half);
    const auto* raw = reinterpret_cast<const std::byte*>(&bits);
    bytes.insert(bytes.end(), raw, raw + 2);
    bytes.insert(bytes.end(), 32, std::byte{1});
    scales.push_back(half_to_float(bits));
  }
  ThreadPool pool(2);
  const auto rows = static_cast<std::int32_t>(scales.size());
  const PackedMatrix packed = pack_matrix({DType::q8_0, rows, 32, bytes}, PackAs::stored, {}, pool);
  Floats x(32);
  x[0] = 1.0F;
  const Floats y = multiply_all(choose_kernels("auto"), packed, x, kMaxPanels, 1);
  for (std::size_t i = 0; i < scales.size(); ++i) ASSERT_EQ(y[i], scales[i]) << i;
}

TEST(Elementwise, HasTheSameBitsOnEveryInstructionSet) {
  Random random(11);
  const KernelTable& scalar = choose_kernels("scalar");
  for (const KernelTable* kernels : list_tables()) {
    for (const std::int32_t n : {1, 7, 16, 33, 100, 896}) {
      const auto size = static_cast<std::size_t>(n);
      const Floats x = random.normals(size);
      const Floats w = random.normals(size);
      Floats a(size), b(size);
      scalar.rms_norm(x.data(), w.data(), n, 1e-6F, a.data());
      kernels->rms_norm(x.data(), w.data(), n, 1e-6F, b.data());
      EXPECT_EQ(bits_of(a), bits_of(b)) << kernels->isa << " rms_norm " << n;
      scalar.gate(x.data(), w.data(), n, a.data());
      kernels->gate(x.data(), w.data(), n, b.data());
      EXPECT_EQ(bits_of(a), bits_of(b)) << kernels->isa << " gate " << n;
      const Floats cos = random.normals(size), sin = random.normals(size);
      a = b = random.normals(2 * size);
      scalar.rotate(a.data(), cos.data(), sin.data(), n);
      kernels->rotate(b.data(), cos.data(), sin.data(), n);
      EXPECT_EQ(bits_of(a), bits_of(b)) << kernels->isa << " rotate " << n;
    }
  }
}

TEST(Exponential, IsTheMathematicalOneWithinTwoUlpsAndTheSameEverywhere) {
  Floats x;
  for (float value = -87.0F; value < 88.0F; value += 0.0137F) x.push_back(value);
  const auto n = static_cast<std::int32_t>(x.size());
  Floats expected(x.size());
  choose_kernels("scalar").exponential(x.data(), n, expected.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    EXPECT_NEAR(expected[i] / exact, 1.0, 2.4e-7) << x[i];
  }
  for (const KernelTable* kernels : list_tables()) {
    Floats y(x.size());
    kernels->exponential(x.data(), n, y.data());
    EXPECT_EQ(bits_of(y), bits_of(expected)) << kernels->isa;
  }
}

TEST(Exponential, OfExtremesIsFinite) {
  const float x[] = {0.0F, -0.0F, -HUGE_VALF, HUGE_VALF, std::nanf(""), 1e30F, -1e30F};
  float y[7];
  choose_kernels("auto").exponential(x, 7, y);
  EXPECT_EQ(y[0], 1.0F);
  EXPECT_EQ(y[1], 1.0F);
  EXPECT_LT(y[2], 1e-37F);
  for (const float value : y) EXPECT_TRUE(std::isfinite(value));
}

TEST(RoundToF16, KeepsWhatIsLargeAndPassesOnWhatIsNotFinite) {
  const float x[] = {1e30F, -1e30F, -0.0F, HUGE_VALF, -HUGE_VALF, std::nanf("")};
  for (const KernelTable* kernels : list_tables()) {
    std::uint16_t y[6];
    kernels->round_to_f16(x, 6, y);
    EXPECT_EQ(half_to_float(y[0]), 65504.0F);
    EXPECT_EQ(half_to_float(y[1]), -65504.0F);
    EXPECT_EQ(y[2], 0x8000);
    for (const std::uint16_t half : std::span(y).last(3)) EXPECT_TRUE(std::isnan(half_to_float(half)));
  }
}

// ---- Attention ----

std::size_t to_size(int n) { return static_cast<std::size_t>(n); }

struct AttentionCase {
  AttentionCase(KvFormat kv_format, int dim, int rows, int keys, Random& random)
      : format(kv_format),
        head_dim(dim),
        padded_dim((dim + kLanes - 1) / kLanes * kLanes),
        num_blocks(keys / kKeysPerBlock + 1) {
    const auto block = static_cast<std::size_t>(kKeysPerBlock * padded_dim);
    keys_memory = random.normals(block * static_cast<std::size_t>(num_blocks));
    values_memory = random.normals(block * static_cast<std::size_t>(num_blocks));
    stored_keys = store(keys_memory, to_size(kKeysPerBlock * dim), true, random);
    stored_values = store(values_memory, block, false, random);
    if (random.between(0, 1) == 1) key_offsets = random.normals(to_size(num_blocks * dim));
    queries = random.normals(static_cast<std::size_t>(rows * dim));
    for (int b = 0; b < num_blocks; ++b) blocks.push_back((b * 5 + 3) % num_blocks);
    if (num_blocks % 5 == 0) std::reverse(blocks.begin(), blocks.end());
    for (int r = 0; r < rows; ++r)
      num_keys.push_back(std::max(1, keys - random.between(0, std::min(keys, 70))));
  }

  /// The blocks' matrices of `used` numbers as attend() reads them; what they are worth goes to `memory`.
  std::vector<std::uint8_t> store(Floats& memory, std::size_t used, bool tokens_are_columns,
                                  Random& random) const {
    const std::size_t bytes = kv_head_bytes(format, head_dim);
    const std::size_t block = to_size(kKeysPerBlock * padded_dim);
    std::vector<std::uint8_t> stored(bytes * to_size(num_blocks));
    for (std::size_t b = 0; b < to_size(num_blocks); ++b) {
      std::uint8_t* matrix = stored.data() + b * bytes;
      const auto put = [&](std::size_t i, auto number) {
        std::memcpy(matrix + i * sizeof number, &number, sizeof number);
      };
      Floats scales;
      for (int t = 0; t < kKeysPerBlock; ++t)
        scales.push_back(0.004F * static_cast<float>(random.between(1, 5)));
      for (std::size_t i = 0; i < used; ++i) {
        float& number = memory[b * block + i];
        const std::size_t token = tokens_are_columns ? i % kKeysPerBlock : i / to_size(padded_dim);
        if (format == KvFormat::f32) {
          put(i, number);
        } else if (format == KvFormat::f16) {
          put(i, float_to_half(number));
          number = half_to_float(float_to_half(number));
        } else if (format == KvFormat::bf16) {
          put(i, float_to_bfloat16(number));
          number = bfloat16_to_float(float_to_bfloat16(number));
        } else {
          const auto q = static_cast<std::int8_t>(random.between(-127, 127));
          put(i, q);
          number = static_cast<float>(q) * scales[token];
        }
      }
      if (format == KvFormat::int8) std::memcpy(matrix + used, scales.data(), scales.size() * sizeof(float));
    }
    return stored;
  }

  /// Rows [first, end) in one call.
  void run(const KernelTable& kernels, int first, int end, Floats& outputs) const {
    std::vector<const float*> q;
    std::vector<float*> y;
    for (int r = first; r < end; ++r) {
      q.push_back(queries.data() + r * head_dim);
      y.push_back(outputs.data() + r * head_dim);
    }
    Floats scratch(attention_scratch_floats(head_dim));
    kernels.attend({.num_rows = end - first,
                    .head_dim = head_dim,
                    .queries = q.data(),
                    .outputs = y.data(),
                    .num_keys = num_keys.data() + first,
                    .format = format,
                    .keys = stored_keys.data(),
                    .values = stored_values.data(),
                    .block_stride = kv_head_bytes(format, head_dim),
                    .blocks = blocks.data(),
                    .key_offsets = key_offsets.empty() ? nullptr : key_offsets.data(),
                    .key_offset_stride = to_size(head_dim),
                    .scale = 0.3F,
                    .scratch = scratch.data()});
  }

  /// One row by the definition, in float64.
  std::vector<double> reference(int row) const {
    std::vector<double> scores, result(static_cast<std::size_t>(head_dim));
    const auto place = [&](int key) { return blocks[static_cast<std::size_t>(key / 32)] * 32 * padded_dim; };
    double maximum = -HUGE_VAL, total = 0;
    for (int key = 0; key < num_keys[static_cast<std::size_t>(row)]; ++key) {
      double score = 0;
      for (int d = 0; d < head_dim; ++d) {
        const auto offset = key_offsets.empty() ? 0.0F : key_offsets[to_size(key / 32 * head_dim + d)];
        score += static_cast<double>(queries[to_size(row * head_dim + d)]) *
                 (static_cast<double>(keys_memory[to_size(place(key) + d * 32 + key % 32)]) +
                  static_cast<double>(offset));
      }
      scores.push_back(score * static_cast<double>(0.3F));
      maximum = std::max(maximum, scores.back());
    }
    for (double& score : scores) total += score = std::exp(score - maximum);
    for (int key = 0; key < num_keys[static_cast<std::size_t>(row)]; ++key) {
      for (int d = 0; d < head_dim; ++d) {
        result[static_cast<std::size_t>(d)] +=
            scores[static_cast<std::size_t>(key)] / total *
            static_cast<double>(
                values_memory[static_cast<std::size_t>(place(key) + key % 32 * padded_dim + d)]);
      }
    }
    return result;
  }

  KvFormat format;
  int head_dim, padded_dim, num_blocks;
  Floats keys_memory, values_memory, key_offsets, queries;
  std::vector<std::uint8_t> stored_keys, stored_values;
  std::vector<std::int32_t> blocks, num_keys;
};

TEST(Attend, IsSoftmaxAttentionAndHasTheSameBitsHoweverItIsCut) {
  Random random(5);
  for (int round = 0; round < 24; ++round) {
    const int head_dim = random.pick({2, 10, 16, 20, 48, 64, 80, 128});
    const int rows = random.between(1, kAttentionRows);
    const AttentionCase c(static_cast<KvFormat>(round % 4), head_dim, rows, random.between(1, 300), random);
    Floats expected(c.queries.size());
    for (int r = 0; r < rows; ++r) c.run(choose_kernels("scalar"), r, r + 1, expected);
    for (const KernelTable* kernels : list_tables()) {
      Floats whole(c.queries.size()), cut(c.queries.size());
      c.run(*kernels, 0, rows, whole);
      EXPECT_EQ(bits_of(whole), bits_of(expected)) << kernels->isa << " head_dim " << head_dim;
      for (int first = 0; first < rows;) {
        const int end = std::min(rows, first + random.between(1, 20));
        c.run(*kernels, first, end, cut);
        first = end;
      }
      EXPECT_EQ(bits_of(cut), bits_of(expected)) << kernels->isa << " head_dim " << head_dim;
    }
    // Scores of some units, summed up in float32, are right to some 1e-6; so is what they weigh.
    constexpr double kTolerance = 6e-6;
    for (int r = 0; r < rows; ++r) {
      const std::vector<double> reference = c.reference(r);
      for (int d = 0; d < head_dim; ++d) {
        EXPECT_NEAR(expected[static_cast<std::size_t>(r * head_dim + d)],
                    reference[static_cast<std::size_t>(d)], kTolerance);
      }
    }
  }
}

TEST(Attend, AScoreThatIsNotFiniteMakesItsRowNotANumberAndNoOther) {
  Random random(6);
  for (const float bad : {std::nanf(""), HUGE_VALF, 3e38F}) {
    AttentionCase c(KvFormat::f32, 20, 3, 100, random);
    for (int d = 0; d < c.head_dim; ++d) c.queries[to_size(c.head_dim + d)] = bad;
    for (const KernelTable* kernels : list_tables()) {
      Floats outputs(c.queries.size());
      c.run(*kernels, 0, 3, outputs);
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        EXPECT_EQ(std::isfinite(outputs[i]), i / to_size(c.head_dim) != 1) << kernels->isa << " " << bad;
      }
    }
  }
}

TEST(ChooseKernels, RefusesWhatItDoesNotKnow) {
  EXPECT_STREQ(choose_kernels("scalar").isa, "scalar");
  EXPECT_NO_THROW(choose_kernels("auto"));
  try {
    choose_kernels("mmx");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'mmx'"), std::string::npos);
    EXPECT_NE(error.hint().find("scalar"), std::string::npos);
  }
}

}  // namespace
}  // namespace touchstone
