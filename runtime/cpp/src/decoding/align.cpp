#include "decoding/align.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "decoding/checks.hpp"
#include "decoding/log_softmax.hpp"
#include "decoding/viterbi.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 32U;
constexpr std::size_t kMostSkipped = 100;  // words in a row that may be left out

// States 2i are the blanks, 2i + 1 the units.
class Lattice {
  public:
    // columns: of each unit among the scores; the blank's is 0.
    Lattice(const std::vector<Unit>& units, const std::vector<std::uint32_t>& columns)
        : units_(units), states_(2 * units.size() + 1) {
        for (std::uint32_t unit = 0; unit <= units.size(); ++unit) {
            ViterbiState& blank = states_[2 * unit];
            blank.before = {2 * unit};
            if (unit > 0) {
                blank.before.push_back(2 * unit - 1);
            }
            if (unit < units.size()) {
                ViterbiState& own = states_[2 * unit + 1];
                own.label = columns[unit];
                own.before = {2 * unit + 1, 2 * unit};
                if (unit > 0 && units[unit - 1].token != units[unit].token) {
                    own.before.push_back(2 * unit - 1);
                }
            }
        }
        start(0);
        end(units.size());
        for (std::size_t unit = 0; unit < units.size(); ++unit) {
            if (units[unit].group != 0 && (unit == 0 || units[unit - 1].group != units[unit].group)) {
                skip_from(unit);
            }
        }
    }

    const std::vector<ViterbiState>& states() const { return states_; }

  private:
    void start(std::size_t unit) {
        states_[2 * unit].starts = true;
        if (unit < units_.size()) {
            states_[2 * unit + 1].starts = true;
        }
    }

    void end(std::size_t unit) {
        states_[2 * unit].ends = true;
        if (unit > 0) {
            states_[2 * unit - 1].ends = true;
        }
    }

    // What is before a group may go on after it, and after the groups that follow it.
    void skip_from(std::size_t first) {
        std::size_t after = first;
        for (std::size_t skipped = 1; after < units_.size() && units_[after].group != 0; ++skipped) {
            if (skipped > kMostSkipped) {
                throw Error("more than " + std::to_string(kMostSkipped) +
                            " words in a row may be left out; expected fewer, or * for any speech");
            }
            const std::size_t group = units_[after].group;
            while (after < units_.size() && units_[after].group == group) {
                ++after;
            }
            skip(static_cast<std::uint32_t>(first), after);
        }
    }

    void skip(std::uint32_t first, std::size_t after) {
        const bool last = after == units_.size();
        states_[2 * after].before.push_back(2 * first);
        if (!last) {
            states_[2 * after + 1].before.push_back(2 * first);
        }
        if (first == 0) {
            start(after);
        } else {
            states_[2 * after].before.push_back(2 * first - 1);
            if (!last && units_[first - 1].token != units_[after].token) {
                states_[2 * after + 1].before.push_back(2 * first - 1);
            }
        }
        if (last) {
            end(first);
        }
    }

    const std::vector<Unit>& units_;
    std::vector<ViterbiState> states_;
};

// The blank and the tokens of a text, each once, and their log probabilities in each frame.
struct Emissions {
    std::vector<std::uint32_t> columns;  // of each unit
    std::size_t labels = 1;
    std::vector<double> scores;  // [frames, labels]

    Emissions(const Logits& logits, const std::vector<Unit>& units, const Speller& speller) {
        std::vector<std::uint32_t> tokens{speller.blank()};
        std::unordered_map<std::uint32_t, std::uint32_t> known;
        for (const Unit& unit : units) {
            const auto fresh = known.emplace(unit.token, static_cast<std::uint32_t>(tokens.size()));
            if (fresh.second) {
                tokens.push_back(unit.token);
            }
            columns.push_back(fresh.first->second);
        }
        labels = tokens.size();
        scores.reserve(logits.frames * labels);
        for (std::size_t frame = 0; frame < logits.frames; ++frame) {
            const float* row = logits.values + frame * logits.tokens;
            const double sum = log_sum(row, logits.tokens);
            for (const std::uint32_t token : tokens) {
                scores.push_back(token == speller.star() ? 0.0 : static_cast<double>(row[token]) - sum);
            }
        }
    }
};

// Without the words that may be left out; equal neighbours need a blank between.
std::size_t least_frames(const std::vector<Unit>& units) {
    std::size_t count = 0;
    const Unit* before = nullptr;
    for (const Unit& unit : units) {
        if (unit.group == 0) {
            count += before != nullptr && before->token == unit.token ? 2 : 1;
            before = &unit;
        }
    }
    return count;
}

// Words of the spans of their tokens, by the units of these.
std::vector<Span> words_of(const std::vector<Span>& tokens, const std::vector<std::size_t>& heard,
                           const Spelling& spelling) {
    std::vector<Span> words;
    std::size_t last = Unit::kNoWord;
    double logs = 0.0;
    double count = 0.0;
    for (std::size_t index = 0; index < tokens.size(); ++index) {
        const std::size_t word = spelling.units[heard[index]].word;
        if (word == Unit::kNoWord) {
            continue;
        }
        if (word != last) {
            words.push_back({spelling.words[word], tokens[index].start_frame, 0, 0.0});
            last = word;
            logs = count = 0.0;
        }
        logs += std::log(tokens[index].confidence);
        count += 1.0;
        words.back().end_frame = tokens[index].end_frame;
        words.back().confidence = std::exp(logs / count);
    }
    return words;
}

}  // namespace

Alignment Aligner::align(const Logits& logits, const std::string& text) const {
    const Spelling spelling = speller_.spell(text);
    const std::vector<Unit>& units = spelling.units;
    check_logits(logits, speller_.star());
    const std::size_t least = std::max<std::size_t>(1, least_frames(units));
    if (logits.frames < least) {
        throw Error("the text needs at least " + std::to_string(least) + " frames and there are " +
                    std::to_string(logits.frames) + "; expected less text, or more audio");
    }
    if (logits.frames > kMostBytes / (2 * units.size() + 1)) {
        throw Error("the text has " + std::to_string(units.size()) + " tokens and the audio " +
                    std::to_string(logits.frames) + " frames, too many at once; expected parts of both");
    }
    Alignment found;
    const Emissions emissions(logits, units, speller_);
    const auto path = best_path(Lattice(units, emissions.columns).states(), emissions.scores, logits.frames,
                                emissions.labels, found.score);
    std::vector<std::size_t> heard;  // the units of the tokens
    for (std::size_t frame = 0; frame < path.size(); ++frame) {
        if (path[frame] % 2 == 0) {
            continue;  // a blank
        }
        const std::size_t index = path[frame] / 2;
        const double probability =
            std::exp(emissions.scores[frame * emissions.labels + emissions.columns[index]]);
        if (heard.empty() || heard.back() != index) {
            heard.push_back(index);
            found.tokens.push_back({speller_.shown(units[index].token), frame, frame, probability});
        }
        Span& token = found.tokens.back();
        token.end_frame = frame + 1;
        token.confidence = std::max(token.confidence, probability);
    }
    found.words = words_of(found.tokens, heard, spelling);
    return found;
}

}  // namespace w2vc::decoding
