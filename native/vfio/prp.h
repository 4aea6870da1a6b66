// Physical region pages: how a command says where its bytes go (NVM Express Base Specification 2.0, section 4.1.1).
#pragma once

#include <cstddef>
#include <cstdint>

namespace ntx::nvme {

/// The two entries of a command.
struct Prps {
  uint64_t first = 0, second = 0;
};

/// Pages of list that a transfer of `bytes` may need wherever it begins in a page of `page` bytes.
size_t prp_list_pages(uint64_t bytes, uint64_t page);

/// Entries for [iova, iova + bytes), contiguous in the drive's addresses. The first entry may lie inside a page at a
/// multiple of 4; all others are whole pages. A third page and more are named in `list`, memory of
/// prp_list_pages(bytes, page) contiguous pages that the drive sees at `list_iova`; the last entry of a full page of
/// list leads to the next one.
Prps build_prps(uint64_t iova, uint64_t bytes, uint64_t page, uint64_t* list, uint64_t list_iova);

}  // namespace ntx::nvme
