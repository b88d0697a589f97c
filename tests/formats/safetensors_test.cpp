#include "formats/safetensors.h"

#include <gmock/gmock.h>

#include "formats/builders.h"

namespace touchstone {
namespace {

using testing::as_blob;
using testing::error_of;
using ::testing::HasSubstr;
using testing::safetensors;

std::string error_for(const std::string& header, const std::string& data) {
  return error_of([&] { read_safetensors(as_blob(safetensors(header, data), "m.safetensors")); });
}

TEST(Safetensors, TensorsHaveTheirNamesTypesShapesAndBytes) {
  const Blob file = as_blob(safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"c":{"dtype":"F16","shape":[0,7],"data_offsets":[8,8]}}  )",
      "abcdefgh"));
  const SafetensorsFile content = read_safetensors(file);
  const std::vector<Tensor>& tensors = content.tensors;
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].dtype, DType::f32);
  EXPECT_TRUE(tensors[0].shape.empty());
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_EQ(tensors[1].dtype, DType::bf16);
  EXPECT_EQ(tensors[1].shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(std::memcmp(tensors[1].bytes.data(), "efgh", 4), 0);
  EXPECT_EQ(tensors[2].dtype, DType::f16);
  EXPECT_TRUE(tensors[2].bytes.empty());
}

TEST(Safetensors, OtherDtypesAreCheckedAndNamedButNotRead) {
  const SafetensorsFile content =
      read_safetensors(as_blob(safetensors(R"({"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                                           R"("w":{"dtype":"F16","shape":[1],"data_offsets":[8,10]}})",
                                           "0123456789")));
  EXPECT_EQ(content.other_dtypes, (std::map<std::string, std::string>{{"ids", "I64"}}));
  EXPECT_EQ(content.tensors.size(), 1U);
  EXPECT_THAT(error_for(R"({"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,4]}})", "0123"),
              HasSubstr("'ids'"));
}

TEST(Safetensors, AnEmptyFileOfTensorsIsValid) {
  EXPECT_TRUE(read_safetensors(as_blob(safetensors("{}", ""))).tensors.empty());
}

TEST(Safetensors, WhatIsWrongIsNamedWithItsFileAndTensor) {
  const auto tensor = [](const std::string& fields) { return R"({"w":{)" + fields + "}}"; };
  const struct {
    std::string header;
    std::string data;
    std::string expected;
  } cases[] = {
      {tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), "1234",
       "'w' ends at byte 8 of 4: the file is truncated"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "12345", "1 bytes after its last tensor"},
      {tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "1234",
       "'w' has 4 bytes, which is not what its shape and dtype need"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "1234", "no range"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[-4,0])"), "1234", "no range"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0.0,4])"), "1234", "no range"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), "1234", "no data_offsets"},
      {tensor(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), "1234", "not a whole number"},
      {tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "1234", "not a whole number"},
      {tensor(R"("dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,4])"), "1234",
       "not what its shape"},
      {tensor(R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])"), "1234",
       "not what its shape"},
      {tensor(R"("dtype":"F32","data_offsets":[0,4])"), "1234", "'w' has no shape"},
      {tensor(R"("shape":[1],"data_offsets":[0,4])"), "1234", "no dtype"},
      {tensor(R"("dtype":"I3","shape":[4],"data_offsets":[0,4])"), "1234", "unknown dtype 'I3'"},
      {R"({"w":3})", "", "not described by an object"},
      {R"([1])", "", "not a JSON object"},
      {R"({"w":)", "", "not valid JSON"},
      {std::string(100, '['), "", "not valid JSON"},
      {R"({"__metadata__":3})", "", "__metadata__"},
      {R"({"__metadata__":{"format":"pt","x":3}})", "", "__metadata__ 'x' is not a string"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
       "123456", "'v' overlaps"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[6,10]}})",
       "1234567890", "'v' follows a gap"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0077":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       "1234", "'w' is listed twice"},
  };
  for (const auto& item : cases) {
    const std::string error = error_for(item.header, item.data);
    EXPECT_THAT(error, HasSubstr(item.expected)) << item.header;
    EXPECT_THAT(error, HasSubstr("m.safetensors"));
  }
}

TEST(Safetensors, AHeaderLengthThatLiesIsFoundBeforeItIsUsed) {
  const auto error = [](std::uint64_t length, const std::string& rest) {
    return error_of([&] { read_safetensors(as_blob(testing::raw(length) + rest)); });
  };
  EXPECT_THAT(error(3, "{}"), HasSubstr("truncated inside its header"));
  EXPECT_THAT(error(~0ULL, "{}"), HasSubstr("claims a header"));
  EXPECT_THAT(error(100'000'001, "{}"), HasSubstr("claims a header"));
  EXPECT_THAT(error(0, "{}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of([] { read_safetensors(as_blob("1234567")); }), HasSubstr("7 bytes"));
}

}  // namespace
}  // namespace touchstone
