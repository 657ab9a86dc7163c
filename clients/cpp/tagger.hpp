// Tags pieces with the graph of a bundle of fpplm: takes the label with the highest of the `logits` of each piece, and
// joins pieces to entities.
//
// The caller's tokenizer, with tokenizer.json, gives the pieces and the start and end of each in its text; the offsets of
// entities have the same unit. `labels` are the values of id2label in config.json, in the order of their keys.
// Needs only ONNX Runtime's C API.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <onnxruntime_c_api.h>

namespace fpplm {

using Range = std::pair<std::int64_t, std::int64_t>;  // start (included) and end (excluded)

struct Entity {
  std::int64_t start, end;
  std::string type;
  float score;  // the mean probability of its pieces' labels
};

class Tagger {
 public:
  Tagger(const std::string& graph, std::vector<std::string> labels) : labels_(std::move(labels)) {
    if (api_ == nullptr) throw std::runtime_error("the library of ONNX Runtime is older than its header");
    check(api_->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "fpplm", &env_));
    check(api_->CreateSessionOptions(&options_));
    check(api_->CreateSession(env_, graph.c_str(), options_, &session_));
    check(api_->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory_));
    check(api_->SessionGetInputCount(session_, &inputs_));  // three if the graph takes token types
  }
  Tagger(const Tagger&) = delete;
  Tagger& operator=(const Tagger&) = delete;
  ~Tagger() {
    api_->ReleaseMemoryInfo(memory_);
    api_->ReleaseSession(session_);
    api_->ReleaseSessionOptions(options_);
    api_->ReleaseEnv(env_);
  }

  // `ids` include the special pieces, whose ranges are empty: {0, 0}. Throws std::runtime_error if the graph fails.
  std::vector<Entity> tag(std::vector<std::int64_t> ids, const std::vector<Range>& ranges) const {
    if (ids.size() != ranges.size() || ids.empty()) throw std::invalid_argument("each piece needs one range");
    std::vector<std::int64_t> mask(ids.size(), 1), types(ids.size(), 0);
    OrtValue* inputs[] = {tensor(ids), tensor(mask), tensor(types)};
    const char* names[] = {"input_ids", "attention_mask", "token_type_ids"};
    const char* output = "logits";
    OrtValue* logits = nullptr;
    OrtStatus* status = api_->Run(session_, nullptr, names, inputs, inputs_, &output, 1, &logits);
    for (OrtValue* input : inputs) api_->ReleaseValue(input);
    check(status);
    const std::unique_ptr<OrtValue, void (*)(OrtValue*)> owner(logits, api_->ReleaseValue);
    require_shape(logits, ids.size() * labels_.size());
    void* data = nullptr;
    check(api_->GetTensorMutableData(logits, &data));
    return join(static_cast<const float*>(data), ranges);
  }

 private:
  std::vector<Entity> join(const float* row, const std::vector<Range>& ranges) const {
    std::vector<Entity> entities;
    std::size_t pieces = 0;  // in the last entity
    std::string open;        // its type, if the next piece may continue it
    for (const Range& range : ranges) {
      const float* best = std::max_element(row, row + labels_.size());
      const std::string& label = labels_[best - row];
      float sum = 0;
      for (std::size_t i = 0; i < labels_.size(); ++i) sum += std::exp(row[i] - *best);
      row += labels_.size();
      if (range.first == range.second) continue;
      const std::string type = label == "O" ? "" : label.substr(2);
      if (!type.empty() && label[0] == 'I' && type == open) {
        Entity& last = entities.back();
        last.end = range.second;
        last.score += (1 / sum - last.score) / static_cast<float>(++pieces);
      } else if (!type.empty()) {
        entities.push_back({range.first, range.second, type, 1 / sum});
        pieces = 1;
      }
      open = type;
    }
    return entities;
  }

  void require_shape(const OrtValue* logits, std::size_t wanted) const {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    check(api_->GetTensorTypeAndShape(logits, &info));
    const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> owner(
        info, api_->ReleaseTensorTypeAndShapeInfo);
    std::size_t count = 0;
    ONNXTensorElementDataType type{};
    check(api_->GetTensorShapeElementCount(info, &count));
    check(api_->GetTensorElementType(info, &type));
    if (count != wanted || type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
      throw std::runtime_error("the graph's logits are not one float32 for each piece and label");
  }

  OrtValue* tensor(std::vector<std::int64_t>& row) const {
    const std::int64_t shape[] = {1, static_cast<std::int64_t>(row.size())};
    OrtValue* value = nullptr;
    check(api_->CreateTensorWithDataAsOrtValue(memory_, row.data(), row.size() * sizeof(row[0]), shape, 2,
                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &value));
    return value;
  }

  void check(OrtStatus* status) const {
    if (status == nullptr) return;
    const std::string message = api_->GetErrorMessage(status);
    api_->ReleaseStatus(status);
    throw std::runtime_error(message);
  }

  const OrtApi* api_ = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  OrtEnv* env_ = nullptr;
  OrtSessionOptions* options_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
  std::size_t inputs_ = 0;
  std::vector<std::string> labels_;
};

}  // namespace fpplm
