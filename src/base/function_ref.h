#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace corral {

/// A reference to something callable, for functions that call it before they return: nothing is
/// copied or allocated. The callable must outlive the reference.
template <class Signature>
class FunctionRef;

template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
      FunctionRef(const F& f)  // NOLINT(google-explicit-constructor): as std::function
      : object_(std::addressof(f)), call_([](const void* object, Args... args) -> Result {
          return (*static_cast<const F*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  const void* object_;
  Result (*call_)(const void*, Args...);
};

}  // namespace corral
