#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace corral::autograd {

class Node;
using NodePtr = std::shared_ptr<Node>;

/// Where a backward rule puts the gradients of its op's inputs. Gradients are always f32 and have
/// as many elements as the input.
class GradientSink {
 public:
  explicit GradientSink(const std::vector<NodePtr>& inputs) : inputs_(inputs) {}

  /// False when nobody wants the gradient of input i: the rule need not compute it.
  bool needs(size_t i) const { return inputs_[i] != nullptr; }
  /// Adds g to the gradient of input i; does nothing when it is not needed.
  void add(size_t i, const Tensor& g);
  /// The gradient of input i itself, zero if nothing was added yet, for rules that accumulate in
  /// place (a weight gradient summed by the matrix product). Only when needs(i). shape: of the
  /// input. Write it before asking for the next: two inputs may be one tensor.
  Tensor into(size_t i, const Shape& shape, const DevicePtr& device);

 private:
  const std::vector<NodePtr>& inputs_;
};

/// dy: gradient of the op's output, in the output's shape.
using Backward = std::function<void(const Tensor& dy, GradientSink& sink)>;

/// The inputs of an op, in a list that copies none of them.
using Inputs = std::initializer_list<std::reference_wrapper<const Tensor>>;

/// One value on the tape: how its gradient becomes those of its op's inputs. What the closure
/// captures is exactly what the op saves for the backward pass; backward() frees it as it goes.
class Node {
 public:
  Node(const char* name, Shape shape) : name_(name), shape_(shape) {}

  const char* name() const { return name_; }
  bool is_leaf() const { return !backward_; }
  /// Sum of the gradients that reached this value; empty before the first.
  const Tensor& gradient() const { return gradient_; }
  void clear_gradient() { gradient_ = Tensor(); }

 private:
  friend class GradientSink;
  friend Tensor append(const char*, Inputs, Tensor, Backward);
  friend void backward(const Tensor&, const Tensor&);

  const char* name_;
  Shape shape_;
  std::vector<NodePtr> inputs_;
  Backward backward_;
  Tensor gradient_;
};

/// Makes x a leaf: a parameter whose gradient backward() leaves in gradient(x).
Tensor parameter(Tensor x);

/// The gradient accumulated in a leaf (undefined Tensor if none yet).
Tensor gradient(const Tensor& leaf);
/// Forgets it; the next backward() starts from zero.
void clear_gradient(const Tensor& leaf);

/// True when an op on these inputs has to write the tape. An op asks before it makes its backward
/// rule, which keeps tensors alive: decoding needs none, and would feel the cost.
bool recording(Inputs inputs);

/// What record() does when the tape is written.
Tensor append(const char* name, Inputs inputs, Tensor output, Backward backward);

/// Puts an op on the tape and returns its output; returns it unchanged if no input needs a gradient
/// or NoGrad is in force. The closure must not capture the returned tensor (capture it before).
template <class Rule>
Tensor record(const char* name, Inputs inputs, Tensor output, Rule&& backward) {
  // A closure on the heap for each op would be felt in decoding, which needs none.
  if (!recording(inputs)) return output;
  return append(name, inputs, std::move(output), Backward(std::forward<Rule>(backward)));
}

/// Runs the tape back from `y` with gradient dy (ones by default: y is then a scalar loss), adding
/// to the gradients of all leaves. The order is fixed by the tape, so the sums are the same bits on
/// every run. The tape behind y is used up.
void backward(const Tensor& y, const Tensor& dy = Tensor());

/// Memory for the output of an op that makes element i of it of element i of x (and of whatever
/// else): x's own when the caller handed x over (moved it in), nobody else can see it, it is on no
/// tape, and the op is not `recorded`; otherwise new. x is moved from in the first case only; read
/// what is asked of it before.
Tensor reuse_or_new(Tensor&& x, bool recorded);

/// While alive, ops on this thread write no tape.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;
};

/// A part of the model that is run again in the backward pass; `again` says that this is the second
/// time (do not count or print twice).
using Recomputable = std::function<Tensor(const Tensor& x, bool again)>;

/// Activation recomputation: runs f(x) without a tape, keeps only x, and repeats f when the
/// gradient arrives. f must be a pure function of x and of parameters.
Tensor checkpoint(const Recomputable& f, const Tensor& x);

}  // namespace corral::autograd
