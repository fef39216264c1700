// The best path through the states of a CTC target.
#pragma once

#include <cstdint>
#include <vector>

namespace w2vc::decoding {

// A state and those that may come before it, itself first; the first of equals is taken.
struct ViterbiState {
    std::uint32_t label = 0;  // which score of a frame it emits
    bool starts = false;
    bool ends = false;
    std::vector<std::uint32_t> before;
};

// The state of each frame on the best path, and its score. scores: log probabilities [frames, labels],
// row-major. Empty where no path fits. states x frames bytes are needed.
std::vector<std::uint32_t> best_path(const std::vector<ViterbiState>& states,
                                     const std::vector<double>& scores, std::size_t frames,
                                     std::size_t labels, double& score);

}  // namespace w2vc::decoding
