// The unfinished words and the texts that one search has met, each once, with their scores.
#pragma once

#include <bitset>
#include <limits>

#include "decoding/alphabet.hpp"
#include "decoding/flat_map.hpp"
#include "decoding/words.hpp"

namespace w2vc::decoding {

// What every search of a decoder reads.
struct BeamDecoder::Parts {
    Vocabulary vocabulary;
    Alphabet alphabet;
    std::shared_ptr<const WordModel> model;
    BeamOptions options;
    Lexicon lexicon;
    Hotwords hotwords;
    bool prune_history = true;
};

// Unfinished words by id; 0 is the empty one. One spelling is one id, whatever tokens it is made of.
class Stems {
  public:
    explicit Stems(const BeamDecoder::Parts& parts);

    static constexpr std::uint32_t kNone = FlatMap::kNone;

    // Forgets all but the empty one.
    void clear();

    std::uint32_t extend(std::uint32_t stem, std::uint32_t token) {
        const std::uint32_t known = steps_.get(pair_key(stem, token));
        return known != kNone ? known : make(stem, token, -std::numeric_limits<double>::infinity());
    }
    // The same, but kNone where it scores less than `least` and no hypothesis of this step has it.
    std::uint32_t extend(std::uint32_t stem, std::uint32_t token, double least) {
        const Start& start = starts_[stem];
        if (!start.next[first_bytes_[token]] && start.unknown_score < least && start.step != step_) {
            return kNone;  // the common case: no word is spelled so
        }
        const std::uint32_t known = steps_.get(pair_key(stem, token));
        const std::uint32_t found = known != kNone ? known : make(stem, token, least);
        if (found != kNone && unknown_[found] != 0) {
            starts_[stem].step = step_;
        }
        return found;
    }

    // Begins a step, and then says which stems hypotheses have.
    void begin_step() { ++step_; }
    void use(std::uint32_t stem) {
        if (unknown_[stem] != 0) {
            starts_[parents_[stem]].step = step_;
        }
    }
    std::size_t size() const { return stems_.size(); }

    // What language model and hotwords say of a word that may become this.
    double score(std::uint32_t stem) const { return scores_[stem]; }
    // Whether a token ended it, so that the next starts a word.
    bool closed(std::uint32_t stem) const { return stems_[stem].closed; }
    std::string_view text(std::uint32_t stem) const {
        return std::string_view(pool_).substr(stems_[stem].offset, stems_[stem].size);
    }

    // What it is as a whole word.
    struct Word {
        std::uint32_t id = 0;  // of the language model
        double offset = 0.0;   // base 10, for an unknown one
        double hot = 0.0;
    };
    const Word& word(std::uint32_t stem);

  private:
    struct Stem {
        std::size_t offset = 0;
        std::size_t size = 0;
        std::uint32_t length = 0;  // code points
        Range range;
        bool hot = false;  // a hotword may start so
        bool closed = false;
        bool finished = false;
        Word word;
    };

    // What decides on most tokens that may follow a stem.
    struct Start {
        std::bitset<256> next;  // bytes that known words go on with; all where tokens are to be looked at
        double unknown_score = 0.0;  // at best, of what goes on otherwise
        std::uint64_t step = 0;      // the last in which a hypothesis did
    };

    std::uint32_t make(std::uint32_t stem, std::uint32_t token, double least);
    std::uint32_t add(const Stem& stem, double score, std::uint32_t parent, bool unknown, std::uint32_t same);
    Start start_of(const Stem& stem) const;
    double unknown_score(std::uint32_t length) const;

    const BeamDecoder::Parts& parts_;
    std::string pool_;
    std::string spelled_;
    std::vector<Stem> stems_;
    std::vector<double> scores_;
    std::vector<Start> starts_;
    std::vector<std::uint32_t> parents_;  // one of those that it goes on from
    std::vector<std::uint8_t> unknown_;   // whether no word starts so
    std::uint64_t step_ = 0;
    std::vector<unsigned char> first_bytes_;  // of tokens
    FlatMap steps_;
    std::vector<std::uint32_t> same_hash_;  // the stem before with the same hash of its text
    FlatMap by_hash_;
    bool ambiguous_ = false;  // whether one spelling can be made of other tokens
};

// Texts of whole words by id; 0 is the empty one.
class Texts {
  public:
    Texts(const BeamDecoder::Parts& parts, Stems& stems);

    // Forgets all but the empty text.
    void clear();

    // The text that a finished word makes of a text; the same for the empty word.
    std::uint32_t extend(std::uint32_t text, std::uint32_t stem) {
        if (stem == 0) {
            return text;
        }
        const std::uint32_t known = steps_.get(pair_key(text, stem));
        return known != FlatMap::kNone ? known : make(text, stem);
    }

    // Language model and hotwords of a text.
    double score(std::uint32_t text) const { return texts_[text].score; }
    // The same for the text that ends with `stem` and with the sentence.
    double final_score(std::uint32_t text, std::uint32_t stem);
    // Texts of one history are alike to the language model from here on.
    std::uint64_t history(std::uint32_t text) const { return texts_[text].history; }
    // The words, as stems.
    std::vector<std::uint32_t> words(std::uint32_t text) const;

  private:
    struct Text {
        std::uint32_t parent = 0;
        std::uint32_t stem = 0;
        LanguageState state = 0;
        double language = 0.0;
        double hot = 0.0;
        double score = 0.0;
        std::uint64_t history = 0;
    };

    std::uint32_t make(std::uint32_t text, std::uint32_t stem);
    double word_score(const Text& text, const Stems::Word& word, bool ends, LanguageState& next) const;
    std::uint64_t history_of(std::uint32_t text) const;

    const BeamDecoder::Parts& parts_;
    Stems& stems_;
    std::vector<Text> texts_;
    FlatMap steps_;
};

}  // namespace w2vc::decoding
