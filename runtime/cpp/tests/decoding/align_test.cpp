#include "decoding/align.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

using namespace w2vc::decoding;

namespace {

Vocabulary letters() {
    Vocabulary vocabulary;
    vocabulary.tokens = {"<pad>", "|", "A", "B", "C"};
    vocabulary.delimiter = "|";
    vocabulary.special_tokens = {"<pad>"};
    return vocabulary;
}

std::vector<float> random_logits(std::mt19937& random, std::size_t count) {
    std::normal_distribution<float> normal(0.0F, 3.0F);
    std::vector<float> values(count);
    for (float& value : values) {
        value = normal(random);
    }
    return values;
}

// The best of all paths that read as one of the targets; -inf for none.
double best_of_all(const std::vector<float>& values, std::size_t tokens,
                   const std::vector<std::vector<std::size_t>>& targets) {
    const std::size_t frames = values.size() / tokens;
    std::vector<std::size_t> path(frames);
    double best = -std::numeric_limits<double>::infinity();
    const std::function<void(std::size_t, double)> go = [&](std::size_t frame, double score) {
        if (frame == frames) {
            std::vector<std::size_t> read;
            for (std::size_t index = 0; index < frames; ++index) {
                if (path[index] != 0 && (index == 0 || path[index] != path[index - 1])) {
                    read.push_back(path[index]);
                }
            }
            for (const auto& target : targets) {
                best = read == target ? std::max(best, score) : best;
            }
            return;
        }
        double sum = 0.0;
        for (std::size_t token = 0; token < tokens; ++token) {
            sum += std::exp(static_cast<double>(values[frame * tokens + token]));
        }
        for (std::size_t token = 0; token < tokens; ++token) {
            path[frame] = token;
            go(frame + 1, score + static_cast<double>(values[frame * tokens + token]) - std::log(sum));
        }
    };
    go(0, 0.0);
    return best;
}

Alignment align(const Vocabulary& vocabulary, const std::vector<float>& values, const std::string& text) {
    const std::size_t tokens = vocabulary.tokens.size();
    return Aligner(vocabulary).align({values.data(), values.size() / tokens, tokens}, text);
}

std::string error_of(const std::vector<float>& values, const std::string& text,
                     Vocabulary vocabulary = letters()) {
    try {
        align(vocabulary, values, text);
    } catch (const Error& error) {
        return error.what();
    }
    return "none";
}

}  // namespace

TEST_CASE("the path is the best of all paths") {
    std::mt19937 random(1);
    for (std::size_t round = 0; round < 5; ++round) {
        const auto values = random_logits(random, 6 * 5);
        CHECK(align(letters(), values, "ab").score == doctest::Approx(best_of_all(values, 5, {{2, 3}})));
        CHECK(align(letters(), values, "AA C").score ==
              doctest::Approx(best_of_all(values, 5, {{2, 2, 1, 4}})));
        CHECK(align(letters(), values, "a [b] c").score ==
              doctest::Approx(best_of_all(values, 5, {{2, 1, 3, 1, 4}, {2, 1, 4}})));
        CHECK(align(letters(), values, "[b] a").score ==
              doctest::Approx(best_of_all(values, 5, {{3, 1, 2}, {2}})));
        CHECK(align(letters(), values, "a [b]").score ==
              doctest::Approx(best_of_all(values, 5, {{2, 1, 3}, {2}})));
        CHECK(align(letters(), values, "a [b] [c]").score ==
              doctest::Approx(best_of_all(values, 5, {{2, 1, 3, 1, 4}, {2, 1, 4}, {2, 1, 3}, {2}})));
        CHECK(align(letters(), values, "[b] [c] a").score ==
              doctest::Approx(best_of_all(values, 5, {{3, 1, 4, 1, 2}, {3, 1, 2}, {4, 1, 2}, {2}})));
        CHECK(
            align(letters(), values, "[a] [b]").score ==
            doctest::Approx(best_of_all(values, 5, {{2, 1, 3}, {2, 1}, {1, 3}, {2, 3}, {1}, {2}, {3}, {}})));
    }
}

TEST_CASE("words have the frames and the confidence of their tokens") {
    const auto vocabulary = letters();
    std::vector<float> values(8 * 5, 0.0F);
    const std::vector<std::size_t> path{0, 2, 2, 3, 0, 1, 4, 0};
    for (std::size_t frame = 0; frame < path.size(); ++frame) {
        values[frame * 5 + path[frame]] = 6.0F;
    }
    const auto found = align(vocabulary, values, "ab c");
    REQUIRE(found.words.size() == 2);
    CHECK(found.words[0].text == "ab");
    CHECK(found.words[0].start_frame == 1);
    CHECK(found.words[0].end_frame == 4);
    CHECK(found.words[1].start_frame == 6);
    const double probability = std::exp(6.0) / (std::exp(6.0) + 4.0);
    CHECK(found.words[0].confidence == doctest::Approx(probability));
    REQUIRE(found.tokens.size() == 4);
    CHECK(found.tokens[0].text == "A");
    CHECK(found.tokens[2].text == " ");
    // An optional word that is not there, and any speech in its place.
    CHECK(align(vocabulary, values, "ab [b] c").words.size() == 2);
    CHECK(align(vocabulary, values, "ab [c]").words.size() == 2);
    const auto starred = align(vocabulary, values, "* c");
    REQUIRE(starred.words.size() == 2);
    CHECK(starred.words[0].text == "*");
    CHECK(starred.words[1].start_frame == 6);
}

TEST_CASE("phonemes and pieces are spelled by their tokens") {
    Vocabulary vocabulary = letters();
    vocabulary.tokens = {"<pad>", "|", "aɪ", "b", "a"};
    vocabulary.phonemes = true;
    std::mt19937 random(2);
    const auto values = random_logits(random, 9 * 5);
    auto found = align(vocabulary, values, "aɪ b | a");
    REQUIRE(found.words.size() == 2);
    CHECK(found.words[0].text == "aɪ b");
    CHECK(found.tokens.size() == 4);
    vocabulary.delimiter = "";
    vocabulary.special_tokens.emplace_back("|");
    CHECK(align(vocabulary, values, "aɪ b a").words.size() == 3);
    CHECK(error_of(values, "aɪ c", vocabulary) ==
          "the phoneme 'c' is no token; expected those of the vocabulary, between spaces");
    Vocabulary pieces;
    pieces.tokens = {"", "▁on", "e", "▁", "two"};
    found = align(pieces, values, "one two");
    REQUIRE(found.tokens.size() == 4);
    CHECK(found.tokens[0].text == "▁on");
    CHECK(found.words.size() == 2);
}

TEST_CASE("what cannot be aligned is an error") {
    std::mt19937 random(3);
    const auto values = random_logits(random, 4 * 5);
    CHECK(error_of(values, "a") == "none");
    CHECK(error_of(values, "aabb") ==
          "the text needs at least 6 frames and there are 4; expected less text, or more audio");
    CHECK(error_of(values, "ab bc") ==
          "the text needs at least 5 frames and there are 4; expected less text, or more audio");
    CHECK(error_of({}, "[a]") ==
          "the text needs at least 1 frames and there are 0; expected less text, or more audio");
    CHECK(error_of(values, "ad") ==
          "the word 'ad' has 'd', which is no token; expected what the vocabulary can spell");
    CHECK(error_of(values, " ") == "there is no text to align; expected at least a word");
    auto bad = values;
    bad[3] = std::numeric_limits<float>::infinity();
    CHECK(error_of(bad, "a").find("NaN or infinite") != std::string::npos);
    std::string many;
    for (int count = 0; count < 120; ++count) {
        many += "[a] ";
    }
    CHECK(error_of(values, many).find("more than 100 words in a row") == 0);
}
