#include "decoding/spelling.hpp"

#include <algorithm>
#include <utility>

#include "decoding/checks.hpp"
#include "decoding/text.hpp"

namespace w2vc::decoding {
namespace {

const char* const kStar = "*";
const char* const kPiece = "\xE2\x96\x81";  // ▁

bool is_bracketed(const std::string& word) {
    return word.size() > 2 && word.front() == '[' && word.back() == ']';
}

}  // namespace

Speller::Speller(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
    check_vocabulary(vocabulary_);
    blank_ = static_cast<std::uint32_t>(vocabulary_.blank);
    const auto& specials = vocabulary_.special_tokens;
    for (std::uint32_t index = 0; index < star(); ++index) {
        const std::string& token = vocabulary_.tokens[index];
        pieces_ = pieces_ || token.compare(0, 3, kPiece) == 0;
        if (!vocabulary_.delimiter.empty() && token == vocabulary_.delimiter) {
            delimiter_ = delimited_ ? delimiter_ : index;
            delimited_ = true;
        } else if (index != blank_ && !token.empty() &&
                   std::find(specials.begin(), specials.end(), token) == specials.end()) {
            exact_.emplace(token, index);
            any_case_.emplace(lower(token), index);
            longest_ = std::max(longest_, token.size());
        }
    }
}

const std::string& Speller::shown(std::uint32_t token) const {
    static const std::string star = kStar;
    if (token == this->star()) {
        return star;
    }
    const bool replaced = delimited_ && token == delimiter_ && !vocabulary_.phonemes;
    return replaced ? vocabulary_.replace_delimiter : vocabulary_.tokens[token];
}

Spelling Speller::spell(const std::string& text) const {
    Spelling spelling;
    const std::vector<std::string> words = split(text);
    if (vocabulary_.phonemes) {
        spell_phonemes(words, spelling);
    } else {
        spell_words(words, spelling);
    }
    if (spelling.words.empty()) {
        throw Error("there is no text to align; expected at least a word");
    }
    return spelling;
}

// A delimiter goes with a word that may be left out: with the one after it where no other word must follow,
// else with the one before it, so that what is left is delimited as it would be written. Where no word must
// be there, it need not.
void Speller::spell_words(const std::vector<std::string>& words, Spelling& spelling) const {
    const auto optional = [&](const std::string& word) { return is_bracketed(word) && !has("["); };
    std::size_t required = 0;
    for (const std::string& word : words) {
        required += optional(word) ? 0 : 1;
    }
    const bool any = required != 0;
    std::size_t groups = 0;
    std::size_t before = 0;  // the group of the word before
    for (const std::string& word : words) {
        const std::size_t own = optional(word) ? ++groups : 0;
        if (delimited_ && !spelling.words.empty()) {
            const std::size_t group = !any ? ++groups : (required == 0 ? own : before);
            spelling.units.push_back({delimiter_, Unit::kNoWord, group});
        }
        spell_word(own != 0 ? word.substr(1, word.size() - 2) : word, own, spelling);
        required -= own == 0 ? 1 : 0;
        before = own;
    }
}

// The longest tokens first, as they are written or in another case.
void Speller::spell_word(const std::string& word, std::size_t group, Spelling& spelling) const {
    const std::size_t index = spelling.words.size();
    spelling.words.push_back(word);
    if (word == kStar && !has(kStar)) {
        spelling.units.push_back({star(), index, group});
        return;
    }
    const std::string spelled = pieces_ ? kPiece + word : word;
    for (std::size_t position = 0; position < spelled.size();) {
        std::size_t size = std::min(longest_, spelled.size() - position);
        for (; size > 0; --size) {
            const std::string part = spelled.substr(position, size);
            const auto exact = exact_.find(part);
            if (exact != exact_.end()) {
                spelling.units.push_back({exact->second, index, group});
                break;
            }
            const auto found = any_case_.find(lower(part));
            if (found != any_case_.end()) {
                spelling.units.push_back({found->second, index, group});
                break;
            }
        }
        if (size == 0) {
            std::size_t end = position;
            next_code_point(spelled, end);
            throw Error("the word '" + word + "' has '" + spelled.substr(position, end - position) +
                        "', which is no token; expected what the vocabulary can spell");
        }
        position += size;
    }
}

void Speller::spell_phonemes(const std::vector<std::string>& items, Spelling& spelling) const {
    bool within = false;  // a word, whose phonemes go on
    for (const std::string& item : items) {
        if (delimited_ && item == vocabulary_.delimiter) {
            spelling.units.push_back({delimiter_, Unit::kNoWord, 0});
            within = false;
            continue;
        }
        const bool star_here = item == kStar && !has(kStar);
        const auto found = exact_.find(item);
        if (found == exact_.end() && !star_here) {
            throw Error("the phoneme '" + item +
                        "' is no token; expected those of the vocabulary, between spaces");
        }
        if (!within) {
            spelling.words.emplace_back();
        }
        std::string& word = spelling.words.back();
        word += (word.empty() ? "" : " ") + item;
        spelling.units.push_back({star_here ? star() : found->second, spelling.words.size() - 1, 0});
        within = delimited_;
    }
}

}  // namespace w2vc::decoding
