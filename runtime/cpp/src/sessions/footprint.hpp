// What a graph takes of memory while it runs, estimated before it does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bundle/manifest.hpp"

namespace w2vc::sessions {

// The Python runtime's estimate, beyond what the loaded graph has. frame: samples from one frame of the
// encoder to the next. pair, sample: bytes for each pair of frames, and for each sample, of a clip.
struct Footprint {
    double frame = 1, pair = 0, sample = 0;

    double needed(std::size_t batch, std::size_t samples) const;

    // Samples of the longest clip that takes no more than that many bytes.
    double longest(double available) const;

    // That a batch takes more memory than there is, for people, and what would not; none where it does not.
    std::optional<std::string> shortage(std::size_t batch, std::size_t samples,
                                        std::int64_t sampling_rate) const;

    // None where nothing is known: of GPUs, or without config.json.
    static std::optional<Footprint> of(const std::string& bundle, const bundle::Manifest& manifest,
                                       const std::string& provider);
};

}  // namespace w2vc::sessions
