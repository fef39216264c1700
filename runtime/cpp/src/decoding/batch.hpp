// Decodes many clips on several threads.
#pragma once

#include "decoding/decoder.hpp"

namespace w2vc::decoding {

// Readings of each clip, in their order. threads: 0 for one a core. The first error is thrown when all have
// ended.
std::vector<std::vector<Hypothesis>> decode_batch(const Decoder& decoder, const std::vector<Logits>& clips,
                                                  std::size_t threads = 0);

}  // namespace w2vc::decoding
