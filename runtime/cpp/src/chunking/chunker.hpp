// Audio that comes in, of any length, to chunks.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bundle/manifest.hpp"
#include "chunking/plan.hpp"
#include "results/result.hpp"

namespace w2vc::chunking {

// What the model sees at once, in samples from the beginning of the recording. start: of `samples`. first,
// last: what it answers for, first <= sample < last; the rest is context.
struct Chunk {
    std::vector<float> samples;
    std::int64_t start = 0, first = 0, last = 0;
    bool is_last = false;

    // Takes the frames that are its neighbours' away from the outputs for this chunk.
    void cut(std::vector<results::Array>& outputs, const bundle::Manifest& manifest) const;
};

// Cuts where the Python runtime does, however the samples come. Its memory is that of one chunk.
class Chunker {
  public:
    using Take = std::function<void(const Chunk&)>;

    explicit Chunker(const Plan& plan) : plan_(plan) {}

    // Takes the next samples; gives the chunks that are complete.
    void push(const float* samples, std::size_t count, const Take& take);

    // Gives the last chunk, which is shorter; none where there was no audio.
    void end(const Take& take);

    // Samples that came so far.
    std::int64_t received() const { return received_; }

  private:
    Chunk cut();
    std::int64_t quietest(std::int64_t latest) const;

    Plan plan_;
    std::vector<float> held_;
    std::int64_t received_ = 0;
    std::int64_t start_ = 0;  // of what is held
    std::int64_t first_ = 0;  // of what is not answered for
};

}  // namespace w2vc::chunking
