#pragma once
#include <node_api.h>

#include <initializer_list>

namespace ntx {

/// Calls a function from a report of another thread. Without Napi::Function: in a worker that is being terminated the call
/// fails, and making an exception of that is fatal. What the function itself throws stays pending, for Node to report.
inline void call_back(napi_env env, napi_value function, std::initializer_list<napi_value> arguments) {
  napi_value receiver = nullptr;
  if (napi_get_undefined(env, &receiver) != napi_ok) return;
  napi_call_function(env, receiver, function, arguments.size(), arguments.begin(), nullptr);
}

}  // namespace ntx
