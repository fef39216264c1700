// Outputs of chunks, one after the other, to what a model answers for the whole.
#pragma once

#include <memory>
#include <vector>

#include "bundle/manifest.hpp"
#include "decoding/decoder.hpp"
#include "results/result.hpp"

namespace w2vc::chunking {

class Collector {
  public:
    virtual ~Collector() = default;

    // Takes the outputs of the next chunk, cut to what it answers for: start to end, in seconds. Throws
    // decoding::Error.
    virtual void add(std::vector<results::Array> outputs, double start, double end) = 0;

    // The answer for what was added, of which there must be some. duration: its seconds.
    virtual results::Result result(double duration) = 0;
};

// What makes the answer of a head. decoder: of head ctc, null for others. What is given must outlive it.
// Throws Error (argument) where there is no pooled answer.
std::unique_ptr<Collector> collector_for(const bundle::Manifest& manifest, bool pooled,
                                         const decoding::Decoder* decoder);

}  // namespace w2vc::chunking
