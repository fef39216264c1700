// Outputs of a graph to results.
#pragma once

#include <vector>

#include "bundle/manifest.hpp"
#include "decoding/decoder.hpp"
#include "results/result.hpp"

namespace w2vc::results {

Head head_of(const bundle::Manifest& manifest);

// How the manifest's tokens become text.
decoding::Vocabulary vocabulary_of(const bundle::Manifest& manifest);

// The result of one clip. arrays: its outputs in the order of the manifest, cut to its valid frames.
// duration: seconds. decoder: for head ctc. Throws decoding::Error.
Result answer(const bundle::Manifest& manifest, std::vector<Array> arrays, double duration,
              const decoding::Decoder* decoder);

// The result of head ctc for readings of a decoder. weighed: as Decoder::weighs. duration: seconds.
Result transcript(const bundle::Manifest& manifest, const std::vector<decoding::Hypothesis>& readings,
                  bool weighed, double duration);

}  // namespace w2vc::results
