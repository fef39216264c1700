#include "decoding/prefixes.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace w2vc::decoding {
namespace {

constexpr double kExpectedLength = 6.0;  // longer unknown words cost more (pyctcdecode's AVG_TOKEN_LEN)
constexpr double kLn10 = 2.302585092994045684;  // language models have base-10 logarithms

}  // namespace

Stems::Stems(const BeamDecoder::Parts& parts) : parts_(parts) {
    for (const Token& token : parts.alphabet.tokens()) {
        first_bytes_.push_back(token.text.empty() ? 0 : static_cast<unsigned char>(token.text.front()));
    }
    ambiguous_ = parts.alphabet.spellings() > 2;
    clear();
}

void Stems::clear() {
    pool_.clear();
    stems_.clear();
    scores_.clear();
    starts_.clear();
    parents_.clear();
    unknown_.clear();
    same_hash_.clear();
    steps_.clear();
    by_hash_.clear();
    Stem empty;
    empty.range = parts_.lexicon.all();
    empty.hot = !parts_.hotwords.empty();
    add(empty, 0.0, 0, false, kNone);
}

std::uint32_t Stems::add(const Stem& stem, double score, std::uint32_t parent, bool unknown,
                         std::uint32_t same) {
    stems_.push_back(stem);
    scores_.push_back(score);
    starts_.push_back(start_of(stem));
    parents_.push_back(parent);
    unknown_.push_back(unknown ? 1 : 0);
    same_hash_.push_back(same);
    return static_cast<std::uint32_t>(stems_.size() - 1);
}

std::uint32_t Stems::make(std::uint32_t stem, std::uint32_t token, double least) {
    const Token& added = parts_.alphabet.tokens()[token];
    const Stem& parent = stems_[stem];
    Stem made;
    made.size = parent.size + added.text.size();
    made.length = parent.length + added.length;
    if (starts_[stem].next[first_bytes_[token]]) {
        made.range = parts_.lexicon.narrow(parent.range, parent.size, added.text);
    }
    made.closed = added.ends_word;
    const bool unknown = parts_.model && made.range.empty();
    double score = unknown ? unknown_score(made.length) : 0.0;
    if (score < least && !parent.hot) {
        return kNone;
    }
    if (parent.hot || ambiguous_) {
        spelled_.assign(text(stem)).append(added.text);
    }
    if (parent.hot) {
        const auto promise = parts_.hotwords.promise(spelled_);
        made.hot = promise.has_value();
        score = promise.value_or(score);
        if (score < least) {
            return kNone;
        }
    }
    std::size_t hash = 0;
    std::uint32_t same = kNone;
    if (ambiguous_) {  // otherwise a spelling has one last token, and one stem before that
        hash = std::hash<std::string>()(spelled_);
        same = by_hash_.get(hash);
        for (std::uint32_t other = same; other != kNone; other = same_hash_[other]) {
            if (text(other) == spelled_ && stems_[other].closed == added.ends_word) {
                return steps_[pair_key(stem, token)] = other;
            }
        }
    }
    made.offset = pool_.size();
    pool_.append(pool_, parent.offset, parent.size).append(added.text);
    const std::uint32_t id = add(made, score, stem, unknown, same);
    if (ambiguous_) {
        by_hash_[hash] = id;
    }
    return steps_[pair_key(stem, token)] = id;
}

Stems::Start Stems::start_of(const Stem& stem) const {
    Start start;
    if (!parts_.model || stem.hot) {
        start.next.set();
    } else {
        start.next = parts_.lexicon.next_bytes(stem.range, stem.size);
        const double offset = parts_.options.unk_score_offset;
        start.unknown_score =
            offset > 0.0 ? std::numeric_limits<double>::infinity() : unknown_score(stem.length + 1);
    }
    return start;
}

// Of a word that no word of the lexicon starts as.
double Stems::unknown_score(std::uint32_t length) const {
    const double offset = parts_.options.unk_score_offset;
    return length > kExpectedLength ? offset * length / kExpectedLength : offset;
}

const Stems::Word& Stems::word(std::uint32_t stem) {
    Stem& found = stems_[stem];
    if (!found.finished) {
        found.finished = true;
        const std::string_view spelled = text(stem);
        found.word.hot = parts_.hotwords.weight(spelled);
        if (parts_.model) {
            const WordModel& model = *parts_.model;
            found.word.id = spelled.empty() ? model.unknown() : model.find(spelled);
            const bool listed = parts_.lexicon.all().empty() || parts_.lexicon.has(found.range, found.size);
            if (!listed || found.word.id == model.unknown()) {
                found.word.offset = parts_.options.unk_score_offset;
            }
        }
    }
    return found.word;
}

Texts::Texts(const BeamDecoder::Parts& parts, Stems& stems) : parts_(parts), stems_(stems) {
    clear();
}

void Texts::clear() {
    texts_.clear();
    steps_.clear();
    Text empty;
    if (parts_.model) {
        empty.state =
            parts_.options.score_boundary ? parts_.model->begin_state() : parts_.model->empty_state();
    }
    texts_.push_back(empty);
}

std::uint32_t Texts::make(std::uint32_t text, std::uint32_t stem) {
    const Stems::Word& word = stems_.word(stem);
    Text made;
    made.parent = text;
    made.stem = stem;
    made.hot = texts_[text].hot + word.hot;
    if (parts_.model) {
        made.language = texts_[text].language + word_score(texts_[text], word, false, made.state);
    }
    made.score = made.language + made.hot;
    const auto id = static_cast<std::uint32_t>(texts_.size());
    texts_.push_back(made);
    texts_[id].history = history_of(id);
    return steps_[pair_key(text, stem)] = id;
}

double Texts::word_score(const Text& text, const Stems::Word& word, bool ends, LanguageState& next) const {
    const WordModel& model = *parts_.model;
    double score = static_cast<double>(model.score(text.state, word.id, next)) + word.offset;
    if (ends && parts_.options.score_boundary) {
        LanguageState last = 0;
        score += static_cast<double>(model.score(next, model.end(), last));
    }
    return parts_.options.alpha * score * kLn10 + parts_.options.beta;
}

double Texts::final_score(std::uint32_t text, std::uint32_t stem) {
    const Stems::Word& word = stems_.word(stem);
    const double hot = texts_[text].hot + (stem == 0 ? 0.0 : word.hot);
    if (!parts_.model) {
        return hot;
    }
    LanguageState next = 0;
    return texts_[text].language + word_score(texts_[text], word, true, next) + hot;
}

std::uint64_t Texts::history_of(std::uint32_t text) const {
    const std::size_t order = parts_.model ? parts_.model->order() : 1;
    std::uint64_t hash = 0;
    for (std::size_t words = std::max<std::size_t>(1, order - 1); words > 0 && text != 0; --words) {
        hash = mix(hash + texts_[text].stem + 1);
        text = texts_[text].parent;
    }
    return hash;
}

std::vector<std::uint32_t> Texts::words(std::uint32_t text) const {
    std::vector<std::uint32_t> stems;
    for (; text != 0; text = texts_[text].parent) {
        stems.push_back(texts_[text].stem);
    }
    std::reverse(stems.begin(), stems.end());
    return stems;
}

}  // namespace w2vc::decoding
