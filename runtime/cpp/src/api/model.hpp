// A bundle, loaded and ready to answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bundle/manifest.hpp"
#include "decoding/decoder.hpp"
#include "features/features.hpp"
#include "results/result.hpp"
#include "sessions/footprint.hpp"
#include "sessions/select.hpp"
#include "support/error.hpp"

namespace w2vc {

// Samples of a clip, mono at the model's rate. time_mask: for head pretraining, of each frame whether the
// encoder must guess it; null for none.
struct Sound {
    features::Clip clip;
    const unsigned char* time_mask = nullptr;
    std::size_t time_mask_count = 0;
};

using Outcome = std::variant<results::Result, Error>;

// Thread-safe.
class Model {
  public:
    // Checks every file against the manifest first. precision: empty for the first graph. Throws Error.
    Model(const std::string& bundle, const std::string& precision, const sessions::OpenOptions& options);

    const bundle::Manifest& manifest() const { return manifest_; }
    // The path of the language model that the bundle carries; empty without one.
    std::string language_model() const;
    const std::string& provider() const { return session_->provider(); }
    // What decodes: the decoder that is given, else the greedy one; null of other heads than ctc. Throws
    // Error (argument) where there is a decoder for another head.
    const decoding::Decoder* decoder(const decoding::Decoder* given) const;

    // Throws Error (audio) on samples that are not finite, or no sound.
    static void check_samples(const features::Clip& clip);

    // Throws Error (audio) where a clip has too few samples for an answer, or none.
    void check_length(std::size_t samples) const;

    // What the graph gives for one clip, in the order of the manifest, cut to its valid frames. Throws Error
    // (inference).
    std::vector<results::Array> outputs(const features::Clip& clip) const;

    // Samples that fit the memory and the engine here; none where nobody knows.
    std::optional<std::int64_t> longest() const;

    // Answers for clips of any lengths, in their order; clips of like length share a batch, as in Python. A
    // clip that has no answer gets its error, and the others their answers. Throws Error (argument) on a
    // batch size of 0.
    std::vector<Outcome> run(const std::vector<Sound>& sounds, std::size_t batch_size,
                             const decoding::Decoder* decoder) const;

  private:
    using Indices = std::vector<std::size_t>;

    void check(const Sound& sound) const;
    std::vector<Indices> batches(const std::vector<Sound>& sounds, Indices indices,
                                 std::size_t batch_size) const;
    void attempt(const std::vector<Sound>& sounds, const Indices& indices, const decoding::Decoder* decoder,
                 std::vector<std::optional<Outcome>>& outcomes) const;
    std::vector<results::Result> infer(const std::vector<Sound>& sounds,
                                       const decoding::Decoder* decoder) const;
    std::vector<std::vector<results::Array>> split(const std::vector<Sound>& sounds) const;
    std::vector<sessions::Fetch> compute(const std::vector<Sound>& sounds) const;
    std::vector<unsigned char> time_masks(const std::vector<Sound>& sounds, std::int64_t& frames) const;
    results::Array cut(const sessions::Fetch& fetch, const bundle::Tensor& tensor, std::size_t row,
                       std::size_t samples) const;
    std::optional<std::string> shortage(std::size_t batch, std::size_t samples) const;

    std::string path_;
    bundle::Manifest manifest_;
    std::unique_ptr<features::Extractor> extractor_;
    std::unique_ptr<sessions::Session> session_;
    std::optional<sessions::Footprint> footprint_;
    std::unique_ptr<decoding::Decoder> decoder_;
};

}  // namespace w2vc
