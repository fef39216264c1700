// A recording of any length through a model, chunk by chunk.
#pragma once

#include <memory>
#include <optional>

#include "api/model.hpp"
#include "chunking/chunker.hpp"
#include "chunking/collect.hpp"

namespace w2vc {

// For one thread at a time. Model and decoder must outlive it.
class Stream {
  public:
    // decoder: null for greedy. Throws Error (argument) where audio cannot be cut like that.
    Stream(const Model& model, const decoding::Decoder* decoder, const chunking::Options& options);

    // Takes the next samples; computes the chunks that are complete. Throws Error (audio) on samples that are
    // no sound, which are not taken. After any other exception the stream has no answer.
    void push(const features::Clip& samples);

    // The answer for the chunks so far; none before the first.
    std::optional<results::Result> read();

    // Computes the rest. Throws as `push` does, and Error (audio) where all of it is too short. The stream
    // then takes nothing more.
    results::Result end();

  private:
    enum class State { open, ended, failed };

    void expect_open() const;
    template <typename Work>
    void attempt(const Work& work);
    void add(const chunking::Chunk& chunk);

    const Model& model_;
    double rate_;
    chunking::Chunker chunker_;
    std::unique_ptr<chunking::Collector> collector_;
    double heard_ = 0;  // seconds that are answered for
    State state_ = State::open;
};

}  // namespace w2vc
