#!/bin/sh
# Builds product-bench for one architecture into build/cuda-bench and, on a machine with a GPU, runs it:
#   bench/cuda/product-bench.sh check|time|model [type ...]      (ARCH=sm_90 by default; NVCC_FLAGS for more flags)
set -eu
cd "$(dirname "$0")/../.."
arch=${ARCH:-sm_90}
out=build/cuda-bench/$arch
mkdir -p "$out"
for source in native/cuda/kernels/quantize.cu native/cuda/kernels/product*.cu bench/cuda/product-bench.cu; do
  object=$out/$(basename "$source" .cu).o
  newer=$(find "$source" native/cuda/kernels/*.cuh native/cuda/kernels/product*.h native/cuda/kernels/quantize.h \
    native/cuda/kernels/quant bench/cuda -newer "$object" -name '*.[ch]*' 2>/dev/null | head -1 || true)
  if [ ! -f "$object" ] || [ -n "$newer" ]; then
    # shellcheck disable=SC2086
    nice -n 10 nvcc -std=c++20 -O3 -arch="$arch" -Werror all-warnings ${NVCC_FLAGS:-} -c "$source" -o "$object"
  fi
done
nvcc -arch="$arch" -cudart static "$out"/*.o -o "$out/product-bench"
if [ $# -gt 0 ]; then "$out/product-bench" "$@"; fi
