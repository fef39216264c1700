#include "decoding/greedy.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "decoding/checks.hpp"
#include "decoding/text.hpp"

namespace w2vc::decoding {

GreedyDecoder::GreedyDecoder(Vocabulary vocabulary, bool skip_special_tokens)
    : vocabulary_(std::move(vocabulary)) {
    check_vocabulary(vocabulary_);
    const auto& tokens = vocabulary_.tokens;
    std::unordered_map<std::string, std::size_t> first;
    for (std::size_t index = 0; index < tokens.size(); ++index) {
        first.emplace(tokens[index], index);
        canonical_.push_back(first[tokens[index]]);
    }
    hidden_.assign(tokens.size(), false);
    hidden_[canonical_[static_cast<std::size_t>(vocabulary_.blank)]] = true;
    for (const auto& token : vocabulary_.special_tokens) {
        const auto found = first.find(token);
        if (skip_special_tokens && token != vocabulary_.delimiter && found != first.end()) {
            hidden_[found->second] = true;
        }
    }
    const bool delimited = !vocabulary_.delimiter.empty();
    for (const auto& token : tokens) {
        const bool replaced = delimited && !vocabulary_.phonemes && token == vocabulary_.delimiter;
        shown_.push_back(replaced ? vocabulary_.replace_delimiter : token);
    }
    if (!vocabulary_.phonemes) {
        boundary_ = vocabulary_.replace_delimiter;
    } else if (delimited) {
        boundary_ = vocabulary_.delimiter;
    }
    joiner_ = vocabulary_.phonemes ? " " : "";
    wordless_ = vocabulary_.phonemes && (!boundary_ || first.count(*boundary_) == 0);
}

std::vector<Hypothesis> GreedyDecoder::decode(const Logits& logits) const {
    check_logits(logits, vocabulary_.tokens.size());
    Hypothesis reading;
    std::size_t last = vocabulary_.tokens.size();  // no token
    bool open = false;
    for (std::size_t frame = 0; frame < logits.frames; ++frame) {
        const float* row = logits.values + frame * logits.tokens;
        const float* best = std::max_element(row, row + logits.tokens);
        double sum = 0.0;
        for (std::size_t token = 0; token < logits.tokens; ++token) {
            sum += std::exp(static_cast<double>(row[token]) - static_cast<double>(*best));
        }
        const double probability = 1.0 / sum;
        reading.acoustic_score -= std::log(sum);
        const std::size_t token = canonical_[static_cast<std::size_t>(best - row)];
        if (token != last) {
            open = !hidden_[token];
            if (open) {
                reading.tokens.push_back({shown_[token], frame, frame + 1, probability});
            }
            last = token;
        } else if (open) {
            reading.tokens.back().end_frame = frame + 1;
            reading.tokens.back().confidence = std::max(reading.tokens.back().confidence, probability);
        }
    }
    reading.score = reading.acoustic_score;
    reading.text = text(reading.tokens);
    reading.words = words(reading.tokens);
    return {std::move(reading)};
}

std::string GreedyDecoder::text(const std::vector<Span>& tokens) const {
    std::string joined;
    bool started = false;
    for (const auto& token : tokens) {
        if (vocabulary_.phonemes && boundary_ && token.text == *boundary_) {
            continue;
        }
        if (started) {
            joined += joiner_;
        }
        joined += token.text;
        started = true;
    }
    joined = strip(joined);
    if (vocabulary_.lower_case) {
        joined = lower(joined);
    }
    return vocabulary_.clean_up ? clean_up(std::move(joined)) : joined;
}

std::vector<Span> GreedyDecoder::words(const std::vector<Span>& tokens) const {
    std::vector<Span> found;
    std::vector<const Span*> letters;
    for (const auto& token : tokens) {
        const bool bounds = boundary_ && token.text == *boundary_;
        if (!bounds) {
            letters.push_back(&token);
        }
        if (!letters.empty() && (wordless_ || bounds)) {
            found.push_back(word(letters));
            letters.clear();
        }
    }
    if (!letters.empty()) {
        found.push_back(word(letters));
    }
    return found;
}

Span GreedyDecoder::word(const std::vector<const Span*>& letters) const {
    Span span;
    double sum = 0.0;
    for (const Span* letter : letters) {
        if (letter != letters.front()) {
            span.text += joiner_;
        }
        span.text += letter->text;
        sum += std::log(letter->confidence);
    }
    if (vocabulary_.lower_case) {
        span.text = lower(span.text);
    }
    span.start_frame = letters.front()->start_frame;
    span.end_frame = letters.back()->end_frame;
    span.confidence = std::exp(sum / static_cast<double>(letters.size()));
    return span;
}

}  // namespace w2vc::decoding
