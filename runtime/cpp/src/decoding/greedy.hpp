// Best-path CTC decoding with the rules of the checkpoint's tokenizer (Graves et al. 2006).
#pragma once

#include <optional>

#include "decoding/decoder.hpp"

namespace w2vc::decoding {

// Equal to the Python runtime's GreedyDecoder and to Hugging Face's tokenizers, offsets included.
class GreedyDecoder final : public Decoder {
  public:
    // skip_special_tokens: leave out tokens like <s>, after repeats were merged. Throws Error on a bad
    // vocabulary.
    explicit GreedyDecoder(Vocabulary vocabulary, bool skip_special_tokens = true);

    // One hypothesis. A token's confidence is its highest probability in its frames, a word's the geometric
    // mean of those of its tokens. acoustic_score: log probability of the best path.
    std::vector<Hypothesis> decode(const Logits& logits) const override;

    std::unique_ptr<Stream> stream() const override;

  private:
    class Path;  // the best path so far

    std::vector<Span> words(const std::vector<Span>& tokens) const;
    std::string text(const std::vector<Span>& tokens) const;
    Span word(const std::vector<const Span*>& letters) const;

    Vocabulary vocabulary_;
    std::vector<std::size_t> canonical_;  // two ids may be the same token: repeats are merged by token
    std::vector<bool> hidden_;
    std::vector<std::string> shown_;
    std::optional<std::string> boundary_;
    std::string joiner_;
    bool wordless_ = false;
};

}  // namespace w2vc::decoding
