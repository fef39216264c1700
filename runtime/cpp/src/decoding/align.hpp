// Forced alignment: where in a clip a known text is said, by the best CTC path through it (Kürzinger et al.
// 2020).
#pragma once

#include "decoding/decoder.hpp"
#include "decoding/spelling.hpp"

namespace w2vc::decoding {

// A text in frames. A token's confidence is its highest probability in its frames, a word's the geometric
// mean of those of its tokens. score: log probability of the path. Words that were left out are not there.
struct Alignment {
    std::vector<Span> tokens;
    std::vector<Span> words;
    double score = 0.0;
};

// Thread-safe.
class Aligner {
  public:
    // Throws Error on a bad vocabulary.
    explicit Aligner(const Vocabulary& vocabulary) : speller_(vocabulary) {}

    // text: see Speller. Throws Error on logits as Decoder does, on text that the tokens cannot spell, and on
    // text that needs more frames.
    Alignment align(const Logits& logits, const std::string& text) const;

  private:
    Speller speller_;
};

}  // namespace w2vc::decoding
