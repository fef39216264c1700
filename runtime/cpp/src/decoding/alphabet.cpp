#include "decoding/alphabet.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "decoding/checks.hpp"
#include "decoding/text.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::string_view kPiece = "\xE2\x96\x81";    // ▁, which starts a word
constexpr std::string_view kUnknown = "\xE2\x81\x87";  // ⁇, what pyctcdecode makes of <unk>

bool starts_with(std::string_view text, std::string_view start) {
    return text.substr(0, start.size()) == start;
}

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool is_special(std::string_view token) {
    return token.size() > 2 && (token.front() == '<' || token.front() == '[') &&
           (token.back() == '>' || token.back() == ']');
}

bool is_unknown(const std::string& token) {
    return is_special(token) && lower(std::string_view(token).substr(1, token.size() - 2)) == "unk";
}

// Pieces of the kind ##ing to those of the kind ▁the.
std::string piece_of(const std::string& token) {
    if (starts_with(token, "##")) {
        return token.substr(2);
    }
    return is_special(token) || token.empty() ? token : std::string(kPiece) + token;
}

}  // namespace

Alphabet::Alphabet(const Vocabulary& vocabulary) {
    check_vocabulary(vocabulary);
    const auto has = [&](std::string_view start) {
        return std::any_of(vocabulary.tokens.begin(), vocabulary.tokens.end(),
                           [&](const auto& token) { return starts_with(token, start); });
    };
    const bool hashed = has("##");
    const bool pieces = hashed || has(kPiece);
    const auto& specials = vocabulary.special_tokens;
    const auto is_delimiter = [&](const std::string& token) {
        return !vocabulary.delimiter.empty() && token == vocabulary.delimiter;
    };
    const bool delimited = std::any_of(vocabulary.tokens.begin(), vocabulary.tokens.end(), is_delimiter);
    const std::string& blank = vocabulary.tokens[static_cast<std::size_t>(vocabulary.blank)];
    const auto blank_id = static_cast<std::uint32_t>(vocabulary.blank);
    std::unordered_map<std::string, std::uint32_t> first;
    std::unordered_set<std::string> texts;
    for (std::size_t index = 0; index < vocabulary.tokens.size(); ++index) {
        const std::string& text = vocabulary.tokens[index];
        Token token;
        token.id = first.emplace(text, static_cast<std::uint32_t>(index)).first->second;
        const bool special = std::find(specials.begin(), specials.end(), text) != specials.end();
        if (text == blank || (special && !is_delimiter(text))) {
            token.action = Action::kBlank;
            token.id = blank_id;
        } else if (is_delimiter(text) && !pieces) {
            token.action = Action::kBoundary;
            token.shown = vocabulary.phonemes ? text : vocabulary.replace_delimiter;
        } else {
            std::string piece = hashed ? piece_of(text) : text;
            if (is_unknown(text)) {
                piece = pieces ? std::string(kPiece).append(kUnknown).append(kPiece) : std::string(kUnknown);
            }
            token.shown = vocabulary.lower_case ? lower(piece) : piece;
            if (pieces && starts_with(piece, kPiece)) {
                token.action = Action::kStart;
                piece.erase(0, kPiece.size());
                if (ends_with(piece, kPiece)) {
                    piece.erase(piece.size() - kPiece.size());
                    token.ends_word = true;
                    closes_ = true;
                }
            } else if (vocabulary.phonemes && !delimited) {
                token.action = Action::kStart;
            }
            token.text = vocabulary.lower_case ? lower(piece) : piece;
            for (std::size_t position = 0; position < token.text.size(); ++token.length) {
                letters_.push_back(next_code_point(token.text, position));
            }
            if (token.length != 1 || !texts.insert(token.text).second) {
                spellings_ = vocabulary.tokens.size();
            }
        }
        tokens_.push_back(std::move(token));
    }
    std::sort(letters_.begin(), letters_.end());
}

void Alphabet::check_hotword(const std::string& word) const {
    for (std::size_t position = 0; position < word.size();) {
        const char32_t letter = next_code_point(word, position);
        if (!std::binary_search(letters_.begin(), letters_.end(), letter)) {
            std::string shown;
            append_code_point(shown, letter);
            throw Error("the hotword '" + word + "' has the letter '" + shown +
                        "', which no token has; expected letters of the vocabulary");
        }
    }
}

}  // namespace w2vc::decoding
