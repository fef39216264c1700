// From a text to the tokens of a vocabulary.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "decoding/decoder.hpp"

namespace w2vc::decoding {

// A token that is to be heard. Those of words that may be left out, with the delimiter beside, share a group.
struct Unit {
    static constexpr std::size_t kNoWord = static_cast<std::size_t>(-1);  // of delimiters

    std::uint32_t token = 0;
    std::size_t word = kNoWord;
    std::size_t group = 0;  // 0 for what must be there
};

struct Spelling {
    std::vector<Unit> units;
    std::vector<std::string> words;
};

// Thread-safe.
class Speller {
  public:
    // Throws Error on a bad vocabulary.
    explicit Speller(const Vocabulary& vocabulary);

    // text: words between white space, spelled with the letters of the tokens in whatever case; of phonemes,
    // tokens between white space with the delimiter between words. "*" stands for any speech of at least a
    // frame, "[word]" may be left out, where no token is so. Throws Error on letters that no token has, and
    // where there are no words.
    Spelling spell(const std::string& text) const;

    std::uint32_t blank() const { return blank_; }
    // The token of "*", one past the others.
    std::uint32_t star() const { return static_cast<std::uint32_t>(vocabulary_.tokens.size()); }
    // What a token is called in a result.
    const std::string& shown(std::uint32_t token) const;

  private:
    void spell_words(const std::vector<std::string>& words, Spelling& spelling) const;
    void spell_word(const std::string& word, std::size_t group, Spelling& spelling) const;
    void spell_phonemes(const std::vector<std::string>& items, Spelling& spelling) const;
    bool has(const std::string& token) const { return exact_.count(token) != 0; }

    Vocabulary vocabulary_;
    std::unordered_map<std::string, std::uint32_t> exact_;
    std::unordered_map<std::string, std::uint32_t> any_case_;
    std::size_t longest_ = 0;  // token in bytes
    std::uint32_t blank_ = 0;
    std::uint32_t delimiter_ = 0;
    bool delimited_ = false;
    bool pieces_ = false;
};

}  // namespace w2vc::decoding
