// What a beam search asks of a language model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace w2vc::decoding {

// What the words before leave behind. States that score all words alike may be one.
using LanguageState = std::uint32_t;

// Thread-safe. Scores are base-10 logarithms.
class WordModel {
  public:
    virtual ~WordModel() = default;

    virtual std::size_t order() const = 0;
    // Whether <s> and </s> are words.
    virtual bool has_bounds() const = 0;

    // A word's id; unknown() where the model does not have it.
    virtual std::uint32_t find(std::string_view word) const = 0;
    virtual std::uint32_t unknown() const = 0;
    virtual std::uint32_t end() const = 0;

    // Words that it can list, sorted by their bytes; an id is a place among them. None where it cannot.
    virtual std::size_t words() const { return 0; }
    virtual std::string_view word(std::uint32_t) const { return {}; }

    // The state after <s>, and the one with no words before.
    virtual LanguageState begin_state() const = 0;
    virtual LanguageState empty_state() const = 0;

    // log10 of the probability of a word after a state.
    virtual float score(LanguageState state, std::uint32_t word, LanguageState& next) const = 0;

  protected:
    WordModel() = default;
    WordModel(const WordModel&) = default;
    WordModel& operator=(const WordModel&) = default;
};

}  // namespace w2vc::decoding
