// What every decoder takes and gives. Strings are UTF-8; frames are rows of the logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace w2vc::decoding {

// Input that cannot be decoded or a file that cannot be used: one line that says what would be right.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Scores of one clip, [frames, tokens], row-major, not normalised. Not owned.
struct Logits {
    const float* values = nullptr;
    std::size_t frames = 0;
    std::size_t tokens = 0;
};

// How tokens become text, as the manifest has it (`ctc`).
struct Vocabulary {
    std::vector<std::string> tokens;          // of every logit
    int blank = 0;                            // index of the CTC blank
    std::string delimiter;                    // between words; empty for none
    std::string replace_delimiter = " ";      // what a delimiter is in a text; of characters only
    std::vector<std::string> special_tokens;  // tokens that are not text
    bool lower_case = false;
    bool clean_up = false;  // join English punctuation and contractions
    bool phonemes = false;  // joined by spaces, without the delimiter
};

// A token or a word in frames start_frame <= f < end_frame. confidence: 0..1.
struct Span {
    std::string text;
    std::size_t start_frame = 0;
    std::size_t end_frame = 0;
    double confidence = 0.0;
};

// One reading of a clip. Scores are natural logarithms; score is what hypotheses are ordered by.
struct Hypothesis {
    std::string text;
    std::vector<Span> tokens;
    std::vector<Span> words;
    double score = 0.0;
    double acoustic_score = 0.0;
    double language_score = 0.0;
};

// One clip whose logits come in pieces. For one thread at a time; must not outlive its decoder.
class Stream {
  public:
    virtual ~Stream() = default;

    // Takes the next frames. Throws Error as Decoder::decode does, and is then as it was.
    virtual void push(const Logits& logits) = 0;

    // What Decoder::decode gives for all frames so far. The stream can go on.
    virtual std::vector<Hypothesis> read() = 0;

  protected:
    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
};

// Thread-safe: one decoder serves any number of threads.
class Decoder {
  public:
    virtual ~Decoder() = default;

    // Readings of one clip, best first, at least one. Zero frames read as an empty text.
    // Throws Error on logits of another width than the vocabulary, and on NaN or infinite ones.
    virtual std::vector<Hypothesis> decode(const Logits& logits) const = 0;

    virtual std::unique_ptr<Stream> stream() const = 0;

    // Whether readings compete, so that their scores say how far apart they are.
    virtual bool weighs() const { return false; }

  protected:
    Decoder() = default;
    Decoder(const Decoder&) = default;
    Decoder& operator=(const Decoder&) = default;
};

}  // namespace w2vc::decoding
