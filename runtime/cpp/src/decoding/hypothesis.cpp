// From the path of a beam to its text, tokens and words.
#include <algorithm>
#include <cmath>

#include "decoding/search.hpp"
#include "decoding/text.hpp"

namespace w2vc::decoding {
namespace {

// Tokens that make one word.
class WordSpan {
  public:
    void add(const Span& token, bool letters) {
        letters_ |= letters;
        if (count_ == 0) {
            span_.start_frame = token.start_frame;
        }
        span_.end_frame = token.end_frame;
        span_.text += (count_ == 0 ? "" : " ") + token.text;
        sum_ += std::log(token.confidence);
        ++count_;
    }
    // Ends the word, if one was begun: a mark without letters is none.
    void close(std::vector<Span>& words) {
        if (letters_) {
            span_.confidence = std::exp(sum_ / static_cast<double>(count_));
            words.push_back(std::move(span_));
        }
        *this = WordSpan();
    }

  private:
    Span span_;
    double sum_ = 0.0;
    std::size_t count_ = 0;
    bool letters_ = false;
};

}  // namespace

Hypothesis BeamSearch::hypothesis(const Candidate& candidate, double score) {
    const Vocabulary& vocabulary = parts_.vocabulary;
    const auto& alphabet = parts_.alphabet.tokens();
    const Beam& beam = beams_[candidate.source];
    Hypothesis found;
    found.score = score;
    found.acoustic_score = candidate.acoustic;
    found.language_score = score - candidate.acoustic;

    std::vector<std::uint32_t> path;
    std::size_t end = beam.end;
    float best = beam.best;
    for (std::uint32_t at = beam.path; at != kNoPath; at = steps_[at].before) {
        const Step& step = steps_[at];
        path.push_back(step.token);
        found.tokens.push_back(
            {alphabet[step.token].shown, step.start, end, std::exp(static_cast<double>(best))});
        end = step.end_before;
        best = step.best_before;
    }
    std::reverse(path.begin(), path.end());
    std::reverse(found.tokens.begin(), found.tokens.end());

    WordSpan word;
    bool closed = false;
    for (std::size_t index = 0; index < path.size(); ++index) {
        const Token& token = alphabet[path[index]];
        if (token.action != Action::kLetter || closed) {
            word.close(found.words);
        }
        if (token.action != Action::kBoundary) {
            word.add(found.tokens[index], !token.text.empty());
        }
        closed = token.ends_word;
    }
    word.close(found.words);

    const std::vector<std::uint32_t> stems = texts_.words(candidate.text);
    const std::string& joiner = vocabulary.phonemes ? " " : vocabulary.replace_delimiter;
    for (std::size_t index = 0; index < stems.size(); ++index) {
        // A word of phonemes is shown with spaces between them.
        const bool spaced = vocabulary.phonemes && index < found.words.size();
        std::string text = spaced ? found.words[index].text : std::string(stems_.text(stems[index]));
        text = vocabulary.lower_case ? lower(text) : text;
        found.text += (index == 0 ? "" : joiner) + text;
        if (index < found.words.size()) {
            found.words[index].text = std::move(text);
        }
    }
    found.text = strip(found.text);
    if (vocabulary.clean_up) {
        found.text = clean_up(std::move(found.text));
    }
    return found;
}

}  // namespace w2vc::decoding
