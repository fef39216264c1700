// Prefix beam search over CTC logits with an n-gram language model and hotwords.
//
// Scores, defaults and pruning are those of pyctcdecode 0.5 (docs/decoding.md), so that its users can move.
#pragma once

#include <memory>
#include <optional>

#include "decoding/decoder.hpp"
#include "decoding/word_model.hpp"

namespace w2vc::decoding {

// A word that is to be heard: each time it is there, a hypothesis gains `weight`. A phrase counts by its
// words.
struct Hotword {
    std::string text;
    double weight = 10.0;
};

struct BeamOptions {
    double alpha = 0.5;               // weight of the language model
    double beta = 1.5;                // gain for each word
    std::size_t beam_width = 100;     // hypotheses kept after a frame
    double beam_prune_logp = -10.0;   // those that are further below the best are dropped
    double token_min_logp = -5.0;     // tokens below are not tried, except the best of a frame
    double unk_score_offset = -10.0;  // for a word that the model or the vocabulary does not have, base 10
    bool score_boundary = true;       // score the beginning and the end of a sentence
    std::size_t nbest = 1;            // hypotheses to return
    std::optional<bool>
        prune_history;  // drop what differs only in words that the model forgot; default: nbest is 1
    std::vector<Hotword> hotwords;
    std::optional<std::vector<std::string>> unigrams;  // the words to expect; default: those of the model
};

class BeamDecoder final : public Decoder {
  public:
    // language_model: may be null. Throws Error on options and hotwords that cannot be met.
    BeamDecoder(const Vocabulary& vocabulary, std::shared_ptr<const WordModel> language_model,
                BeamOptions options);
    ~BeamDecoder() override;

    // The best `nbest` hypotheses. acoustic_score: log probability of all paths that were kept.
    // language_score: what language model and hotwords added to it. Frames are those of one path.
    std::vector<Hypothesis> decode(const Logits& logits) const override;

    std::unique_ptr<Stream> stream() const override;

    bool weighs() const override { return true; }

    struct Parts;  // what a search reads

  private:
    class Idle;  // searches that are done, whose memory the next ones take

    std::unique_ptr<const Parts> parts_;
    std::unique_ptr<Idle> idle_;
};

}  // namespace w2vc::decoding
