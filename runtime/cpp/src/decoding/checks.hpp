// Checks that all decoders share.
#pragma once

#include "decoding/decoder.hpp"

namespace w2vc::decoding {

// Throws Error unless there are tokens and the blank is one of them.
void check_vocabulary(const Vocabulary& vocabulary);

// Throws Error unless the logits have `tokens` columns and all are finite.
void check_logits(const Logits& logits, std::size_t tokens);

}  // namespace w2vc::decoding
