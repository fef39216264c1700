// Words by their prefixes: those that are expected, and hotwords.
#pragma once

#include <bitset>
#include <memory>

#include "decoding/beam.hpp"

namespace w2vc::decoding {

// Words first <= w < last of a sorted list, which have the prefix that was asked for.
struct Range {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    bool empty() const { return first == last; }
};

// The words that a text is expected to have, sorted: those given, or all of a language model. Thread-safe.
class Lexicon {
  public:
    Lexicon() = default;
    // unigrams: without a value, the words of the model. Those that the model does not have are left out.
    Lexicon(std::shared_ptr<const WordModel> model, const std::optional<std::vector<std::string>>& unigrams);

    Range all() const { return {0, count_}; }
    // Of words with a prefix, those that go on with `more`. depth: length of the prefix in bytes.
    Range narrow(Range range, std::size_t depth, std::string_view more) const;
    // The bytes that follow the prefix in words of the range.
    std::bitset<256> next_bytes(Range range, std::size_t depth) const;
    // Whether the prefix that a range stands for is a word itself.
    bool has(Range range, std::size_t depth) const;

  private:
    std::string_view word(std::uint32_t index) const;

    std::shared_ptr<const WordModel> model_;
    std::vector<std::string> own_;
    std::uint32_t count_ = 0;
};

// Hotwords, sorted, a weight each. Thread-safe.
class Hotwords {
  public:
    Hotwords() = default;
    explicit Hotwords(const std::vector<Hotword>& hotwords);

    bool empty() const { return words_.empty(); }
    const std::vector<Hotword>& words() const { return words_; }
    // What a whole word gains; 0 for no hotword.
    double weight(std::string_view word) const;
    // What a word gains that may become a hotword: the share of it that is there. Empty for one that may not.
    std::optional<double> promise(std::string_view prefix) const;

  private:
    std::vector<Hotword> words_;
};

}  // namespace w2vc::decoding
