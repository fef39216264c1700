#include "decoding/checks.hpp"

#include <cmath>

namespace w2vc::decoding {
namespace {

constexpr std::size_t kMostFrames = 0x7FFFFFFF;  // frames and tokens are counted in 32 bits

}  // namespace

void check_vocabulary(const Vocabulary& vocabulary) {
    const std::size_t count = vocabulary.tokens.size();
    if (count == 0) {
        throw Error("the vocabulary has no tokens; expected one for every logit");
    }
    if (vocabulary.blank < 0 || static_cast<std::size_t>(vocabulary.blank) >= count) {
        throw Error("the blank is token " + std::to_string(vocabulary.blank) + "; expected 0 to " +
                    std::to_string(count - 1));
    }
}

void check_logits(const Logits& logits, std::size_t tokens) {
    if (logits.tokens != tokens) {
        throw Error("the logits have " + std::to_string(logits.tokens) + " tokens and the vocabulary " +
                    std::to_string(tokens) + "; expected the same");
    }
    if (logits.frames > kMostFrames || logits.tokens > kMostFrames) {
        throw Error("there are " + std::to_string(logits.frames) + " frames of logits; expected at most " +
                    std::to_string(kMostFrames));
    }
    const std::size_t count = logits.frames * logits.tokens;
    if (count != 0 && logits.values == nullptr) {
        throw Error("there are no logits; expected a pointer to them");
    }
    bool finite = true;
    for (std::size_t index = 0; index < count; ++index) {
        finite &= std::isfinite(logits.values[index]);
    }
    if (!finite) {
        throw Error("there are NaN or infinite values among the logits; expected finite ones");
    }
}

}  // namespace w2vc::decoding
