#include "decoding/greedy.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace w2vc::decoding;

namespace {

Vocabulary letters() {
    Vocabulary vocabulary;
    vocabulary.tokens = {"<pad>", "|", "A", "B", "<unk>"};
    vocabulary.delimiter = "|";
    vocabulary.special_tokens = {"<pad>", "<unk>", "|"};
    return vocabulary;
}

// Logits whose best tokens are those given.
std::vector<float> peaks(const std::vector<std::size_t>& path, std::size_t tokens) {
    std::vector<float> values(path.size() * tokens, 0.0F);
    for (std::size_t frame = 0; frame < path.size(); ++frame) {
        values[frame * tokens + path[frame]] = 3.0F;
    }
    return values;
}

Hypothesis decode(const Vocabulary& vocabulary, const std::vector<std::size_t>& path, bool skip = true) {
    const auto values = peaks(path, vocabulary.tokens.size());
    return GreedyDecoder(vocabulary, skip)
        .decode({values.data(), path.size(), vocabulary.tokens.size()})
        .at(0);
}

}  // namespace

TEST_CASE("repeats merge, blanks keep letters apart, delimiters bound words") {
    const auto reading = decode(letters(), {1, 2, 2, 0, 2, 1, 1, 3, 0});
    CHECK(reading.text == "AA B");
    REQUIRE(reading.words.size() == 2);
    CHECK(reading.words[0].text == "AA");
    CHECK(reading.words[0].start_frame == 1);
    CHECK(reading.words[0].end_frame == 5);
    CHECK(reading.words[1].start_frame == 7);
    const double probability = 1.0 / (1.0 + 4.0 * std::exp(-3.0));
    CHECK(reading.words[0].confidence == doctest::Approx(probability));
    CHECK(reading.acoustic_score == doctest::Approx(9.0 * std::log(probability)));
}

TEST_CASE("pieces give what the whole gives, at every cut") {
    const std::vector<std::size_t> path = {1, 2, 2, 0, 2, 2, 1, 1, 3, 4, 4, 3, 0, 0, 3};
    const Vocabulary vocabulary = letters();
    const GreedyDecoder decoder(vocabulary);
    auto values = peaks(path, 5);
    values[5 * 5 + 2] = 4.0F;  // the highest of its run
    const auto whole = decoder.decode({values.data(), path.size(), 5}).at(0);
    for (std::size_t piece = 1; piece <= path.size(); ++piece) {
        const auto stream = decoder.stream();
        for (std::size_t frame = 0; frame < path.size(); frame += piece) {
            stream->push({values.data() + frame * 5, std::min(piece, path.size() - frame), 5});
            stream->read();  // which changes nothing
        }
        const auto own = stream->read().at(0);
        CHECK(own.text == whole.text);
        CHECK(own.score == whole.score);
        REQUIRE(own.words.size() == whole.words.size());
        for (std::size_t word = 0; word < own.words.size(); ++word) {
            CHECK(own.words[word].start_frame == whole.words[word].start_frame);
            CHECK(own.words[word].end_frame == whole.words[word].end_frame);
            CHECK(own.words[word].confidence == whole.words[word].confidence);
        }
    }
}

TEST_CASE("special tokens are left out unless asked for") {
    CHECK(decode(letters(), {2, 4, 2}).text == "AA");
    CHECK(decode(letters(), {2, 4, 2}, false).text == "A<unk>A");
}

TEST_CASE("phonemes are joined by spaces and have no delimiter") {
    auto vocabulary = letters();
    vocabulary.phonemes = true;
    auto reading = decode(vocabulary, {2, 3, 1, 2});
    CHECK(reading.text == "A B A");
    REQUIRE(reading.words.size() == 2);
    CHECK(reading.words[0].text == "A B");
    vocabulary.delimiter = "";
    vocabulary.special_tokens = {"<pad>", "|"};
    reading = decode(vocabulary, {2, 3, 1, 2});
    CHECK(reading.words.size() == 3);
}

TEST_CASE("lower case and clean-up") {
    auto vocabulary = letters();
    vocabulary.tokens = {"", "|", "Σ", "A", "."};
    vocabulary.lower_case = true;
    vocabulary.clean_up = true;
    const auto reading = decode(vocabulary, {3, 2, 1, 4});
    CHECK(reading.text == "aς.");
    CHECK(reading.words[0].text == "aς");
}

TEST_CASE("zero frames are an empty text") {
    const auto readings = GreedyDecoder(letters()).decode({nullptr, 0, 5});
    REQUIRE(readings.size() == 1);
    CHECK(readings[0].text.empty());
    CHECK(readings[0].words.empty());
}

TEST_CASE("bad input is an error that says what is right") {
    auto values = peaks({1, 2}, 5);
    const GreedyDecoder decoder(letters());
    CHECK_THROWS_WITH_AS(decoder.decode({values.data(), 2, 4}),
                         "the logits have 4 tokens and the vocabulary 5; expected the same", Error);
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        values[7] = bad;
        CHECK_THROWS_WITH_AS(decoder.decode({values.data(), 2, 5}),
                             "there are NaN or infinite values among the logits; expected finite ones",
                             Error);
    }
    CHECK_THROWS_WITH_AS(decoder.decode({values.data(), std::size_t{1} << 40U, 5}),
                         "there are 1099511627776 frames of logits; expected at most 2147483647", Error);
    CHECK_THROWS_WITH_AS(decoder.decode({nullptr, 2, 5}), "there are no logits; expected a pointer to them",
                         Error);
    auto vocabulary = letters();
    vocabulary.blank = 5;
    CHECK_THROWS_WITH_AS(GreedyDecoder{vocabulary}, "the blank is token 5; expected 0 to 4", Error);
    vocabulary.tokens.clear();
    CHECK_THROWS_AS(GreedyDecoder{vocabulary}, Error);
}
