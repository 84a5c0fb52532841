#include "autograd/tape.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace corral::autograd {
namespace {

// The one thread-local of the project: how many NoGrad guards are alive on this thread.
thread_local int no_grad_depth = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

// Lets ops write the tape although NoGrad is in force, until it dies.
class Recording {
 public:
  Recording() : depth_(std::exchange(no_grad_depth, 0)) {}
  ~Recording() { no_grad_depth = depth_; }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  int depth_;
};

constexpr int64_t kGrain = 1 << 14;

// sum += g, element by element.
void add_in_place(Tensor& sum, const Tensor& g) {
  auto* to = sum.mutable_data<float>();
  const auto* from = g.data<float>();
  sum.device()->threads().parallel_for(sum.numel(), kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] += from[i];
  });
}

// All nodes behind `root`, each before the nodes that it depends on.
std::vector<NodePtr> reverse_order(
    const NodePtr& root, const std::function<const std::vector<NodePtr>&(Node&)>& inputs) {
  struct Frame {
    NodePtr node;
    size_t next;
  };
  std::vector<NodePtr> order;
  std::unordered_set<const Node*> seen = {root.get()};
  std::vector<Frame> stack;
  stack.push_back({root, 0});
  while (!stack.empty()) {
    Frame& frame = stack.back();
    const std::vector<NodePtr>& behind = inputs(*frame.node);
    if (frame.next == behind.size()) {
      order.push_back(std::move(frame.node));
      stack.pop_back();
      continue;
    }
    const NodePtr& input = behind[frame.next++];
    if (input != nullptr && seen.insert(input.get()).second) stack.push_back({input, 0});
  }
  std::reverse(order.begin(), order.end());
  return order;
}

}  // namespace

void GradientSink::add(size_t i, const Tensor& g) {
  if (!needs(i)) return;
  Node& node = *inputs_[i];
  if (g.numel() != node.shape_.numel() || g.dtype() != DType::kF32) {
    throw ShapeError(str("gradient of ", node.name_, ": got ", g.dtype(), " ", g.shape(),
                         ", needs f32 ", node.shape_));
  }
  if (!node.gradient_.defined()) {
    node.gradient_ = g.detach().view(node.shape_);
    return;
  }
  // The first gradient may be shared with another input of its op; only a private one is added to.
  if (!node.gradient_.sole_owner()) node.gradient_ = node.gradient_.clone();
  add_in_place(node.gradient_, g);
}

Tensor GradientSink::into(size_t i, const Shape& shape, const DevicePtr& device) {
  Node& node = *inputs_[i];
  if (!node.gradient_.defined()) {
    node.gradient_ = Tensor::zeros(node.shape_, DType::kF32, device);
  } else if (!node.gradient_.sole_owner()) {
    node.gradient_ = node.gradient_.clone();
  }
  return node.gradient_.view(shape);
}

Tensor parameter(Tensor x) {
  x.set_node(std::make_shared<Node>("parameter", x.shape()));
  return x;
}

Tensor gradient(const Tensor& leaf) { return leaf.node() ? leaf.node()->gradient() : Tensor(); }

void clear_gradient(const Tensor& leaf) {
  if (leaf.node()) leaf.node()->clear_gradient();
}

bool recording(Inputs inputs) {
  return no_grad_depth == 0 && std::any_of(inputs.begin(), inputs.end(),
                                           [](const Tensor& x) { return x.node() != nullptr; });
}

Tensor reuse_or_new(Tensor&& x, bool recorded) {
  const bool free = !recorded && x.node() == nullptr && x.sole_owner();
  return free ? std::move(x) : empty_like(x);
}

Tensor append(const char* name, Inputs inputs, Tensor output, Backward backward) {
  auto node = std::make_shared<Node>(name, output.shape());
  node->inputs_.reserve(inputs.size());
  for (const Tensor& input : inputs) node->inputs_.push_back(input.node());
  node->backward_ = std::move(backward);
  output.set_node(std::move(node));
  return output;
}

void backward(const Tensor& y, const Tensor& dy) {
  const NodePtr& root = y.node();
  if (root == nullptr) throw Error("backward: no parameter leads to this value");
  Tensor seed = dy;
  if (!seed.defined()) {
    if (y.numel() != 1) throw ShapeError(str("backward: a loss is one number, got ", y.shape()));
    const float one = 1.0f;
    seed = Tensor::from(std::span<const float>(&one, 1), y.shape(), y.device());
  }
  GradientSink({root}).add(0, seed);

  const NoGrad no_grad;
  std::vector<NodePtr> order =
      reverse_order(root, [](Node& node) -> const std::vector<NodePtr>& { return node.inputs_; });
  for (NodePtr& node : order) {
    if (node->is_leaf()) continue;
    if (node->gradient_.defined()) {
      GradientSink sink(node->inputs_);
      node->backward_(node->gradient_, sink);
    }
    node->gradient_ = Tensor();
    node->backward_ = [name = node->name_](const Tensor&, GradientSink&) {
      throw Error(str("backward: the tape behind ", name, " was already used"));
    };
    node->inputs_.clear();
    node.reset();
  }
}

NoGrad::NoGrad() { ++no_grad_depth; }
NoGrad::~NoGrad() { --no_grad_depth; }

Tensor checkpoint(const Recomputable& f, const Tensor& x) {
  if (no_grad_depth > 0) return f(x, false);
  Tensor y;
  {
    const NoGrad no_grad;
    y = f(x.detach(), false).detach();
  }
  // Parameters inside f are not inputs of this node, so it is recorded even when x needs no
  // gradient.
  const Tensor input = x.node() ? x : parameter(x);
  const Tensor saved = x.detach();
  return record("checkpoint", {input}, y, [f, saved](const Tensor& dy, GradientSink& sink) {
    const Tensor x_again = parameter(saved);
    Tensor y_again;
    {
      const Recording recording;
      y_again = f(x_again, true);
    }
    backward(y_again, dy);
    const Tensor dx = gradient(x_again);
    if (dx.defined()) sink.add(0, dx);
  });
}

}  // namespace corral::autograd
