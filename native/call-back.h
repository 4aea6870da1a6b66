#pragma once
#include <node_api.h>

#include <initializer_list>
#include <string>

namespace ntx {

/// Calls a function from a report of another thread. Without Napi::Function: in a worker that is being terminated the call
/// fails, and making an exception of that is fatal. What the function itself throws stays pending, for Node to report.
inline void call_back(napi_env env, napi_value function, std::initializer_list<napi_value> arguments) {
  napi_value receiver = nullptr;
  if (napi_get_undefined(env, &receiver) != napi_ok) return;
  napi_call_function(env, receiver, function, arguments.size(), arguments.begin(), nullptr);
}

/// An array for call_back() that is made without exceptions too.
class ReportArray {
 public:
  explicit ReportArray(napi_env env) : env_(env), failed_(napi_create_array(env, &array_) != napi_ok) {}

  void add(double number) {
    napi_value value = nullptr;
    append(value, napi_create_double(env_, number, &value));
  }
  void add(const std::string& text) {
    napi_value value = nullptr;
    append(value, napi_create_string_utf8(env_, text.data(), text.size(), &value));
  }
  /// Null where the worker is ending.
  napi_value value() const { return failed_ ? nullptr : array_; }

 private:
  void append(const napi_value& value, napi_status made) {
    failed_ = failed_ || made != napi_ok || napi_set_element(env_, array_, count_++, value) != napi_ok;
  }

  napi_env env_;
  napi_value array_ = nullptr;
  uint32_t count_ = 0;
  bool failed_;
};

}  // namespace ntx
