// A recipe, ready to compute.
#pragma once

#include <memory>
#include <vector>

#include "features/recipe.hpp"

namespace w2vc::features {

// Thread-safe. Equal to the Python runtime's recipes up to the rounding of a logarithm or a sum.
class Extractor {
  public:
    virtual ~Extractor() = default;

    // The inputs of a graph for clips of any lengths, at least one clip, padded at the end to the longest.
    virtual Inputs operator()(const std::vector<Clip>& clips, Padding padding) const = 0;
};

std::unique_ptr<Extractor> make_extractor(const Recipe& recipe);

std::unique_ptr<Extractor> make_waveform(const Waveform& recipe);
std::unique_ptr<Extractor> make_log_mel(const LogMel& recipe);

}  // namespace w2vc::features
