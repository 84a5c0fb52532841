// /v1/embeddings
#include <cmath>
#include <map>
#include <utility>

#include "base/encoding.h"
#include "serve/api_error.h"
#include "serve/endpoints.h"

namespace corral::serve {
namespace {

/// The vector at length one, as OpenAI's API has it.
std::vector<float> normalised(const std::vector<float>& values) {
  double square = 0;
  for (const float value : values) square += static_cast<double>(value) * value;
  const double length = std::sqrt(square);
  std::vector<float> result;
  for (const float value : values) {
    result.push_back(length > 0 ? static_cast<float>(value / length) : 0.0F);
  }
  return result;
}

class EmbeddingWriter : public AnswerWriter {
 public:
  EmbeddingWriter(const Service& service, ResponderPtr responder, bool base64)
      : responder_(std::move(responder)), model_(service.model()), base64_(base64) {}

  void prompt(int64_t index, const engine::PromptResult& result) override {
    vectors_[index] = normalised(result.embedding);
  }
  void step(int64_t, const engine::Step&) override {}
  void finished(int64_t, engine::FinishReason) override {}
  void ended(const Usage& usage) override {
    OrderedJson json;
    json["object"] = "list";
    json["data"] = OrderedJson::array();
    for (const auto& [index, vector] : vectors_) {
      OrderedJson one;
      one["object"] = "embedding";
      one["index"] = index;
      if (base64_) {
        one["embedding"] = base64_encode(
            {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
      } else {
        one["embedding"] = vector;
      }
      json["data"].push_back(std::move(one));
    }
    json["model"] = model_;
    json["usage"] = {{"prompt_tokens", usage.prompt_tokens}, {"total_tokens", usage.prompt_tokens}};
    responder_->send({.body = dump(json)});
  }
  void failed(const ApiError& error) override { responder_->send(error_response(error)); }

 private:
  ResponderPtr responder_;
  std::string model_;
  bool base64_;
  std::map<int64_t, std::vector<float>> vectors_;
};

}  // namespace

void post_embeddings(Backend& backend, const Call& call) {
  const EmbeddingRequest request = parse_embedding(call.http.body);
  const Lease model = backend.shelf.open(request.answer.model);
  const int64_t width = model->engine().embedding_width();
  if (request.dimensions.value_or(width) != width) {
    throw ApiError(400, str("dimensions can only be ", width, " with this model"), "dimensions");
  }
  std::vector<engine::Request> requests;
  for (const auto& input : request.inputs) {
    engine::Prompt prompt{.tokens = input_tokens(*model->tokenizer(), input)};
    requests.push_back(model->request(request.answer, std::move(prompt), call.client));
    requests.back().embedding = request.pooling;
  }
  auto writer = std::make_shared<EmbeddingWriter>(*model, call.responder, request.base64);
  answer(model, std::move(requests), std::move(writer), call.responder, call.ended);
}

}  // namespace corral::serve
