#include "results/answer.hpp"

#include <algorithm>
#include <cmath>

#include "features/sums.hpp"

namespace w2vc::results {
namespace {

constexpr const char* kMultiLabel = "multi_label_classification";
constexpr const char* kRegression = "regression";
// A class of several that may hold at once holds from here on.
constexpr float kThreshold = 0.5f;

// Probabilities in place of logits [labels]; the values themselves of a regression.
void score(float* row, std::size_t labels, const std::string& problem_type) {
    if (problem_type == kRegression) return;
    if (problem_type == kMultiLabel) {
        for (std::size_t i = 0; i < labels; ++i) {
            row[i] = static_cast<float>(0.5 * (1.0 + std::tanh(0.5 * static_cast<double>(row[i]))));
        }
        return;
    }
    const double largest = static_cast<double>(*std::max_element(row, row + labels));
    std::vector<double> exponentials(labels);
    for (std::size_t i = 0; i < labels; ++i)
        exponentials[i] = std::exp(static_cast<double>(row[i]) - largest);
    const double sum = features::pairwise_sum(exponentials.data(), labels);
    for (std::size_t i = 0; i < labels; ++i) row[i] = static_cast<float>(exponentials[i] / sum);
}

Word word_of(const decoding::Span& span, double seconds) {
    return {span.text, static_cast<double>(span.start_frame) * seconds,
            static_cast<double>(span.end_frame) * seconds, span.confidence};
}

void add_readings(Result& result, const std::vector<decoding::Hypothesis>& readings, bool weighed) {
    result.weighed = weighed;
    for (const auto& hypothesis : readings) {
        Reading reading;
        reading.text = hypothesis.text;
        for (const auto& span : hypothesis.words)
            reading.words.push_back(word_of(span, result.frame_seconds));
        for (const auto& span : hypothesis.tokens)
            reading.tokens.push_back(word_of(span, result.frame_seconds));
        reading.score = hypothesis.score;
        reading.acoustic_score = hypothesis.acoustic_score;
        reading.language_score = hypothesis.language_score;
        result.readings.push_back(std::move(reading));
    }
}

void classify(Result& result, const bundle::Labels& labels) {
    std::vector<float> values = result.arrays.front().values;
    score(values.data(), values.size(), labels.problem_type);
    for (std::size_t i = 0; i < labels.names.size(); ++i) {
        const bool holds = labels.problem_type == kMultiLabel && values[i] >= kThreshold;
        result.scores.push_back({labels.names[i], static_cast<double>(values[i]), holds});
    }
    result.regression = labels.problem_type == kRegression;
    if (result.regression) return;
    std::stable_sort(result.scores.begin(), result.scores.end(),
                     [](const Score& a, const Score& b) { return a.score > b.score; });
    if (labels.problem_type != kMultiLabel) result.scores.front().holds = true;
}

// The stretches of frames in which a class holds.
void segment(Result& result, std::size_t label, const std::vector<bool>& holds) {
    const Array& scores = result.arrays.front();
    for (std::size_t start = 0; start < holds.size(); ++start) {
        if (!holds[start]) continue;
        std::vector<float> values;
        std::size_t end = start;
        for (; end < holds.size() && holds[end]; ++end)
            values.push_back(scores.values[end * scores.columns + label]);
        const float mean =
            features::divided(features::pairwise_sum(values.data(), values.size()), values.size());
        result.segments.push_back({result.labels[label], static_cast<double>(start) * result.frame_seconds,
                                   static_cast<double>(end) * result.frame_seconds,
                                   static_cast<double>(mean)});
        start = end;
    }
}

void label_frames(Result& result, const bundle::Labels& labels) {
    result.labels = labels.names;
    Array& scores = result.arrays.front();
    scores.name = "scores";
    std::vector<std::vector<bool>> holds(scores.columns, std::vector<bool>(scores.rows));
    for (std::size_t frame = 0; frame < scores.rows; ++frame) {
        float* row = scores.values.data() + frame * scores.columns;
        score(row, scores.columns, labels.problem_type);
        const auto best = static_cast<std::size_t>(std::max_element(row, row + scores.columns) - row);
        for (std::size_t label = 0; label < scores.columns; ++label) {
            holds[label][frame] =
                labels.problem_type == kMultiLabel ? row[label] >= kThreshold : label == best;
        }
    }
    for (std::size_t label = 0; label < scores.columns; ++label) segment(result, label, holds[label]);
    std::stable_sort(result.segments.begin(), result.segments.end(), [](const Segment& a, const Segment& b) {
        return a.start != b.start ? a.start < b.start : a.label < b.label;
    });
}

}  // namespace

Head head_of(const bundle::Manifest& manifest) {
    if (manifest.head == "base") return Head::base;
    if (manifest.head == "sequence-classification") return Head::sequence_classification;
    if (manifest.head == "frame-classification") return Head::frame_classification;
    if (manifest.head == "xvector") return Head::xvector;
    return manifest.head == "pretraining" ? Head::pretraining : Head::ctc;
}

decoding::Vocabulary vocabulary_of(const bundle::Manifest& manifest) {
    const bundle::Ctc& ctc = *manifest.ctc;
    decoding::Vocabulary made;
    made.tokens = ctc.vocabulary;
    made.blank = static_cast<int>(ctc.blank);
    made.delimiter = ctc.word_delimiter;
    made.replace_delimiter = ctc.replace_word_delimiter_char;
    made.special_tokens = ctc.special_tokens;
    made.lower_case = ctc.do_lower_case;
    made.clean_up = ctc.clean_up_tokenization_spaces;
    made.phonemes = ctc.phonemes;
    return made;
}

Result answer(const bundle::Manifest& manifest, std::vector<Array> arrays, double duration,
              const decoding::Decoder* decoder) {
    Result result;
    result.head = head_of(manifest);
    result.duration = duration;
    result.arrays = std::move(arrays);
    if (manifest.outputs.front().shape.size() == 3) result.frame_seconds = manifest.frame_seconds();
    if (result.head == Head::ctc && decoder) {
        const Array& logits = result.arrays.front();
        add_readings(result, decoder->decode({logits.values.data(), logits.rows, logits.columns}),
                     decoder->weighs());
    }
    if (result.head == Head::sequence_classification) classify(result, *manifest.labels);
    if (result.head == Head::frame_classification) label_frames(result, *manifest.labels);
    return result;
}

Result transcript(const bundle::Manifest& manifest, const std::vector<decoding::Hypothesis>& readings,
                  bool weighed, double duration) {
    Result result;
    result.duration = duration;
    result.frame_seconds = manifest.frame_seconds();
    add_readings(result, readings, weighed);
    return result;
}

const Array* Result::find(const std::string& name) const {
    const auto found =
        std::find_if(arrays.begin(), arrays.end(), [&](const Array& each) { return each.name == name; });
    return found == arrays.end() ? nullptr : &*found;
}

}  // namespace w2vc::results
