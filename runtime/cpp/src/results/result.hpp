// What a model answers for one clip.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "decoding/decoder.hpp"

namespace w2vc::results {

enum class Head { base, ctc, sequence_classification, frame_classification, xvector, pretraining };

// A word, or phoneme where a phoneme model knows no words. start, end: seconds. confidence: 0 to 1.
struct Word {
    std::string text;
    double start = 0, end = 0, confidence = 0;
};

// A reading of a clip. Scores are natural logarithms.
struct Reading {
    std::string text;
    std::vector<Word> words, tokens;
    double score = 0, acoustic_score = 0, language_score = 0;
};

// A class and its score: a probability, or the predicted value of a regression. holds: whether the clip is of
// it.
struct Score {
    std::string label;
    double score = 0;
    bool holds = false;
};

// A stretch of time, in seconds, in which a class holds. score: its mean probability there.
struct Segment {
    std::string label;
    double start = 0, end = 0, score = 0;
};

struct Window;

// float32 [rows, columns]; a vector is one row.
struct Array {
    std::string name;
    std::vector<float> values;
    std::size_t rows = 0, columns = 0;
};

struct Result {
    Head head = Head::ctc;
    double duration = 0;            // seconds of audio
    double frame_seconds = 0;       // from one frame to the next; 0 where there are none
    std::vector<Reading> readings;  // of ctc: best first
    std::vector<Score>
        scores;  // of sequence-classification: likeliest first, of a regression as the model has them
    std::vector<std::string> labels;  // of frame-classification: of the columns of `scores`
    std::vector<Segment> segments;    // of frame-classification
    bool regression = false;
    bool weighed = false;         // the readings compete: JSON has them all, with their scores
    bool aligned = false;         // the text was known: JSON has its tokens and the score of its path
    std::vector<Array> arrays;    // what the graph gave, by name; of frame-classification `scores`
    std::vector<Window> windows;  // answers for parts of a long recording, in place of all above

    const Array* find(const std::string& name) const;
};

// An answer for a part of a recording. start, end: seconds; times within the answer count from `start`.
struct Window {
    double start = 0, end = 0;
    Result result;
};

// One JSON object, as the Python runtime writes it (`w2vc run --format json`), without a newline.
std::string to_json(const Result& result);

}  // namespace w2vc::results
