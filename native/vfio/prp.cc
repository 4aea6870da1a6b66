#include "prp.h"

namespace ntx::nvme {

size_t prp_list_pages(uint64_t bytes, uint64_t page) {
  const uint64_t entries =
      (bytes + page - 1) / page;  // beside PRP1: one more page where the transfer begins inside of one
  const uint64_t per_page = page / sizeof(uint64_t);
  // Of a page that another follows, the last entry leads on.
  return entries <= 1 ? 0 : static_cast<size_t>((entries - 1 + per_page - 2) / (per_page - 1));
}

Prps build_prps(uint64_t iova, uint64_t bytes, uint64_t page, uint64_t* list, uint64_t list_iova) {
  Prps prps{iova, 0};
  const uint64_t in_first = page - iova % page;
  if (bytes <= in_first) return prps;
  uint64_t next = iova + in_first;
  const uint64_t end = iova + bytes;
  if (end - next <= page) {
    prps.second = next;
    return prps;
  }
  prps.second = list_iova;
  const uint64_t per_page = page / sizeof(uint64_t);
  for (uint64_t entry = 0; next < end; ++entry) {
    if (entry % per_page == per_page - 1 && end - next > page) {
      list[entry] = list_iova + (entry + 1) * sizeof(uint64_t);
      continue;
    }
    list[entry] = next;
    next += page;
  }
  return prps;
}

}  // namespace ntx::nvme
