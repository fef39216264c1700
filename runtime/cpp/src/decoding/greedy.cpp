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

class GreedyDecoder::Path final : public Stream {
  public:
    explicit Path(const GreedyDecoder& decoder)
        : decoder_(decoder), last_(decoder.vocabulary_.tokens.size()) {}

    void push(const Logits& logits) override {
        check_logits(logits, decoder_.vocabulary_.tokens.size());
        for (std::size_t frame = 0; frame < logits.frames; ++frame) {
            step(logits.values + frame * logits.tokens, logits.tokens);
        }
    }

    std::vector<Hypothesis> read() override {
        Hypothesis reading;
        reading.tokens = tokens_;
        reading.score = reading.acoustic_score = score_;
        reading.text = decoder_.text(tokens_);
        reading.words = decoder_.words(tokens_);
        return {std::move(reading)};
    }

  private:
    void step(const float* row, std::size_t count) {
        const float* best = std::max_element(row, row + count);
        double sum = 0.0;
        for (std::size_t token = 0; token < count; ++token) {
            sum += std::exp(static_cast<double>(row[token]) - static_cast<double>(*best));
        }
        const double probability = 1.0 / sum;
        score_ -= std::log(sum);
        const std::size_t token = decoder_.canonical_[static_cast<std::size_t>(best - row)];
        if (token != last_) {
            open_ = !decoder_.hidden_[token];
            if (open_) {
                tokens_.push_back({decoder_.shown_[token], frame_, frame_ + 1, probability});
            }
            last_ = token;
        } else if (open_) {
            tokens_.back().end_frame = frame_ + 1;
            tokens_.back().confidence = std::max(tokens_.back().confidence, probability);
        }
        ++frame_;
    }

    const GreedyDecoder& decoder_;
    std::vector<Span> tokens_;
    std::size_t frame_ = 0;
    std::size_t last_;   // token of the last frame; before the first, none
    bool open_ = false;  // whether the last frame may go on with the last of the tokens
    double score_ = 0.0;
};

std::vector<Hypothesis> GreedyDecoder::decode(const Logits& logits) const {
    Path path(*this);
    path.push(logits);
    return path.read();
}

std::unique_ptr<Stream> GreedyDecoder::stream() const {
    return std::make_unique<Path>(*this);
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
