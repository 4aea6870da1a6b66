// What addons make of the arguments that JavaScript passes, and the parts of their classes that do not depend on the device.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ntx {

constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;

/// Argument `index` as a whole number from `least` to `most`, both safe integers; throws RangeError.
inline uint64_t whole_number(const Napi::CallbackInfo& info, size_t index, const char* what, uint64_t least,
                             uint64_t most) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : NAN;
  // Doubles hold safe integers exactly; a NaN fails both comparisons.
  if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(), std::string(what) + ": expected a whole number from " +
                                                std::to_string(least) + " to " + std::to_string(most));
  }
  return static_cast<uint64_t>(value);
}

/// The elements of a typed array of one kind, which stay where they are until JavaScript runs; throws TypeError.
template <class Element>
std::span<const Element> elements_of(const Napi::Value& value, napi_typedarray_type type, const char* what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throw Napi::TypeError::New(value.Env(), std::string(what) + ": expected another kind of array");
  }
  const auto array = value.As<Napi::TypedArrayOf<Element>>();
  return {array.Data(), array.ElementLength()};
}

/// What stands behind an array of `Object`s; throws TypeError.
template <class Object>
auto all_of(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), std::string(what) + ": expected an array");
  const auto array = value.As<Napi::Array>();
  std::vector<decltype(Object::of(value))> all;
  for (uint32_t i = 0; i < array.Length(); ++i) all.push_back(Object::of(array.Get(i)));
  return all;
}

/// Memory.view(offset, bytes): a Uint8Array over the memory's own bytes, at most 4 GiB - 1, which keeps it alive.
template <class Memory>
Napi::Value view_of(const Napi::CallbackInfo& info, const std::shared_ptr<Memory>& memory) {
  const uint64_t offset = whole_number(info, 0, "offset", 0, memory->bytes());
  const uint64_t bytes = whole_number(info, 1, "bytes", 0, std::min<uint64_t>(UINT32_MAX, memory->bytes() - offset));
  if (bytes == 0) return Napi::Uint8Array::New(info.Env(), 0);
  const auto drop = [](Napi::Env, void*, std::shared_ptr<Memory>* holder) { delete holder; };
  auto* holder = new std::shared_ptr<Memory>(memory);
  const auto buffer = Napi::ArrayBuffer::New(info.Env(), memory->data() + offset, bytes, drop, holder);
  return Napi::Uint8Array::New(info.Env(), bytes, buffer, 0);
}

}  // namespace ntx
