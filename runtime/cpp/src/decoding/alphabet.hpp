// What each token of a vocabulary does to a text in a beam search.
#pragma once

#include "decoding/decoder.hpp"

namespace w2vc::decoding {

enum class Action : std::uint8_t {
    kBlank,     // the blank, and special tokens, which are no text
    kBoundary,  // ends a word
    kLetter,    // is text
    kStart,     // is text that starts a word: pieces such as ▁the, phonemes without a delimiter
};

struct Token {
    Action action = Action::kLetter;
    std::uint32_t id = 0;      // two tokens of one text have one id; all blanks have that of the blank
    std::string text;          // what it adds to a word
    std::uint32_t length = 0;  // of the text in code points
    std::string shown;         // what it is called in a hypothesis
    bool ends_word = false;    // what follows starts a word, as after ▁⁇▁
};

class Alphabet {
  public:
    // Throws Error on a bad vocabulary.
    explicit Alphabet(const Vocabulary& vocabulary);

    const std::vector<Token>& tokens() const { return tokens_; }
    // How many tokens a word can have had last and be spelled the same: the blank, and its end.
    std::size_t spellings() const { return spellings_; }
    // Whether any token ends a word.
    bool closes() const { return closes_; }
    // Throws Error where the alphabet has no token for a letter of a hotword.
    void check_hotword(const std::string& word) const;

  private:
    std::vector<Token> tokens_;
    std::vector<char32_t> letters_;
    std::size_t spellings_ = 2;
    bool closes_ = false;
};

}  // namespace w2vc::decoding
