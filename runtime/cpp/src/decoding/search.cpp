#include "decoding/search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "decoding/log_softmax.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::size_t kMostSpellings = std::size_t{1} << 14;
constexpr std::size_t kStepsBeforeForgetting = std::size_t{1} << 20;

double add_logs(double left, double right) {
    const double most = std::max(left, right);
    const double difference = std::min(left, right) - most;
    return difference < -37.0 ? most : most + std::log(1.0 + std::exp(difference));
}

}  // namespace

BeamSearch::BeamSearch(const BeamDecoder::Parts& parts)
    : parts_(parts), stems_(parts), texts_(parts, stems_), beams_(1), steps_limit_(kStepsBeforeForgetting) {}

void BeamSearch::renew() {
    if (stems_.size() > kMostSpellings) {
        stems_.clear();
    }
    texts_.clear();
    steps_.clear();
    beams_.assign(1, Beam{});
    frame_ = 0;
}

void BeamSearch::advance(const Logits& logits) {
    logp_.resize(logits.tokens);
    for (std::size_t row = 0; row < logits.frames; ++row) {
        expand_all(choose_tokens(logits.values + row * logits.tokens));
        rank();
        keep();
        ++frame_;
        if (steps_.size() > steps_limit_) {
            forget();
        }
    }
}

std::size_t BeamSearch::choose_tokens(const float* scores) {
    const std::size_t best = log_softmax(scores, logp_.size(), logp_.data());
    const auto least = static_cast<float>(parts_.options.token_min_logp);
    chosen_.clear();
    for (std::size_t token = 0; token < logp_.size(); ++token) {
        if (logp_[token] >= least || token == best) {
            chosen_.push_back(static_cast<std::uint32_t>(token));
        }
    }
    return best;
}

// What scores far below a candidate that there is need not be made: a spelling that no word has is not worth
// its memory. The best beams with the best token give one to begin with. Every candidate that can be kept is
// made.
void BeamSearch::expand_all(std::size_t best) {
    constexpr std::size_t kFirst = 16;
    const std::size_t beams = beams_.size();
    least_ = -std::numeric_limits<double>::infinity();
    margin_ = std::log(static_cast<double>(std::min(beams, parts_.alphabet.spellings())));
    stems_.begin_step();
    for (const Beam& beam : beams_) {
        stems_.use(beam.stem);
    }
    for (const std::size_t first : {std::size_t{1}, std::min(beams, kFirst)}) {
        clear();
        expand(static_cast<std::uint32_t>(best), first);
    }
    clear();
    for (const std::uint32_t token : chosen_) {
        expand(token, beams);
    }
}

void BeamSearch::clear() {
    candidates_.clear();
    scores_.clear();
}

// Goes on from the first beams with one token. Beams that come to the same were apart in the token before;
// the better ones come first, so that what is not worth making for one is not for those that follow.
void BeamSearch::expand(std::uint32_t index, std::size_t beams) {
    const Token& token = parts_.alphabet.tokens()[index];
    const auto logp = static_cast<double>(logp_[index]);
    const bool closes = parts_.alphabet.closes();
    merged_.reset(beams);
    for (std::uint32_t source = 0; source < beams; ++source) {
        const Beam& beam = beams_[source];
        const double acoustic = beam.acoustic + logp;
        if (token.action == Action::kBlank || beam.last == token.id) {
            add(beam.text, beam.stem, index, source, acoustic);
            continue;
        }
        if (token.action == Action::kBoundary) {
            add(texts_.extend(beam.text, beam.stem), 0, index, source, acoustic);
            continue;
        }
        const bool starts = token.action == Action::kStart || (closes && stems_.closed(beam.stem));
        const std::uint32_t text = starts ? texts_.extend(beam.text, beam.stem) : beam.text;
        const double least = least_ - margin_ - acoustic - texts_.score(text);
        const std::uint32_t before = starts ? 0 : beam.stem;
        const std::uint32_t stem = token.text.empty() ? before : stems_.extend(before, index, least);
        if (stem != Stems::kNone) {
            add(text, stem, index, source, acoustic);
        }
    }
}

void BeamSearch::add(std::uint32_t text, std::uint32_t stem, std::uint32_t token, std::uint32_t source,
                     double acoustic) {
    const auto fresh = static_cast<std::uint32_t>(candidates_.size());
    const std::uint32_t place = merged_.insert(pair_key(text, stem), fresh);
    const double rest = texts_.score(text) + stems_.score(stem);
    if (place == fresh) {
        candidates_.push_back({text, stem, token, source, acoustic});
        scores_.push_back(acoustic + rest);
    } else {
        Candidate& same = candidates_[place];
        same.acoustic = add_logs(same.acoustic, acoustic);
        same.source = source;
        scores_[place] = same.acoustic + rest;
    }
    least_ = std::max(least_, scores_[place] + parts_.options.beam_prune_logp);
}

// The best `beam_width` of the scores that are not too far below the best, best first, earlier ones before
// equals.
void BeamSearch::rank() {
    const BeamOptions& options = parts_.options;
    const double least = *std::max_element(scores_.begin(), scores_.end()) + options.beam_prune_logp;
    ranked_.clear();
    for (std::uint32_t index = 0; index < scores_.size(); ++index) {
        if (scores_[index] >= least) {
            ranked_.push_back({scores_[index], index});
        }
    }
    const auto better = [](const Ranked& left, const Ranked& right) {
        return left.score > right.score || (left.score == right.score && left.index < right.index);
    };
    if (ranked_.size() > options.beam_width) {
        const auto cut = ranked_.begin() + static_cast<std::ptrdiff_t>(options.beam_width);
        std::nth_element(ranked_.begin(), cut, ranked_.end(), better);
        ranked_.erase(cut, ranked_.end());
    }
    std::sort(ranked_.begin(), ranked_.end(), better);
}

void BeamSearch::keep() {
    next_.clear();
    merged_.reset(ranked_.size());
    for (const Ranked& each : ranked_) {
        const Candidate& candidate = candidates_[each.index];
        const std::uint32_t last = parts_.alphabet.tokens()[candidate.token].id;
        if (parts_.prune_history) {
            const std::uint64_t key =
                mix(texts_.history(candidate.text) ^ mix(pair_key(candidate.stem, last)));
            if (merged_.insert(key, each.index) != each.index) {
                continue;
            }
        }
        next_.push_back(follow(candidate));
    }
    beams_.swap(next_);
}

BeamSearch::Beam BeamSearch::follow(const Candidate& candidate) {
    const Token& token = parts_.alphabet.tokens()[candidate.token];
    const float logp = logp_[candidate.token];
    Beam beam = beams_[candidate.source];
    beam.text = candidate.text;
    beam.stem = candidate.stem;
    beam.acoustic = candidate.acoustic;
    if (token.action != Action::kBlank) {
        if (beam.last == token.id) {
            beam.best = std::max(beam.best, logp);
        } else {
            steps_.push_back({beam.path, candidate.token, frame_, beam.end, beam.best});
            beam.path = static_cast<std::uint32_t>(steps_.size() - 1);
            beam.best = logp;
        }
        beam.end = frame_ + 1;
    }
    beam.last = token.id;
    return beam;
}

// Drops the steps that no beam came by, so that a stream without end stays small.
void BeamSearch::forget() {
    std::vector<std::uint32_t> moved(steps_.size(), 0);
    for (const Beam& beam : beams_) {
        for (std::uint32_t step = beam.path; step != kNoPath && moved[step] == 0;
             step = steps_[step].before) {
            moved[step] = 1;
        }
    }
    std::uint32_t kept = 0;
    for (std::size_t step = 0; step < steps_.size(); ++step) {
        if (moved[step] != 0) {
            Step own = steps_[step];
            own.before = own.before == kNoPath ? kNoPath : moved[own.before];
            steps_[kept] = own;
            moved[step] = kept++;
        }
    }
    for (Beam& beam : beams_) {
        beam.path = beam.path == kNoPath ? kNoPath : moved[beam.path];
    }
    steps_.resize(kept);
    steps_limit_ = 2 * steps_.size() + kStepsBeforeForgetting;
}

std::vector<Hypothesis> BeamSearch::read() {
    clear();
    merged_.reset(beams_.size());
    std::vector<std::uint32_t> whole;  // the texts that the last words complete
    for (std::uint32_t source = 0; source < beams_.size(); ++source) {
        const Beam& beam = beams_[source];
        const std::uint32_t text = texts_.extend(beam.text, beam.stem);
        const auto fresh = static_cast<std::uint32_t>(candidates_.size());
        const std::uint32_t place = merged_.insert(text, fresh);
        if (place == fresh) {
            candidates_.push_back({beam.text, beam.stem, 0, source, beam.acoustic});
            whole.push_back(text);
        } else {
            const double acoustic = add_logs(candidates_[place].acoustic, beam.acoustic);
            candidates_[place] = {beam.text, beam.stem, 0, source, acoustic};
        }
    }
    for (const Candidate& each : candidates_) {
        scores_.push_back(each.acoustic + texts_.final_score(each.text, each.stem));
    }
    rank();
    std::vector<Hypothesis> readings;
    for (const Ranked& each : ranked_) {
        if (readings.size() == parts_.options.nbest) {
            break;
        }
        Candidate candidate = candidates_[each.index];
        candidate.text = whole[each.index];
        readings.push_back(hypothesis(candidate, each.score));
    }
    return readings;
}

}  // namespace w2vc::decoding
