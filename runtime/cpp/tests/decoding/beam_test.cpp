#include "decoding/beam.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "decoding/batch.hpp"
#include "decoding/greedy.hpp"
#include "decoding/language_model.hpp"
#include "decoding/text.hpp"
#include "models.hpp"

using namespace w2vc::decoding;
using namespace w2vc::decoding::tests;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Vocabulary vocabulary_of(std::vector<std::string> tokens) {
    Vocabulary vocabulary;
    vocabulary.tokens = std::move(tokens);
    vocabulary.delimiter = " ";
    return vocabulary;
}

std::vector<float> random_logits(std::mt19937& random, std::size_t count, float scale) {
    std::normal_distribution<float> normal(0.0F, scale);
    std::vector<float> values(count);
    for (float& value : values) {
        value = normal(random);
    }
    return values;
}

// Log probability of every text: the sum over all paths.
std::map<std::string, double> all_texts(const Vocabulary& vocabulary, const Logits& logits) {
    std::map<std::string, double> probability;
    std::vector<std::size_t> path(logits.frames, 0);
    const std::function<void(std::size_t, double)> go = [&](std::size_t frame, double logp) {
        if (frame == logits.frames) {
            std::string text;
            std::size_t last = 0;
            for (const std::size_t token : path) {
                text += token != last ? vocabulary.tokens[token] : "";
                last = token;
            }
            std::string words;
            for (const auto& word : split(text)) {
                words += (words.empty() ? "" : " ") + word;
            }
            probability[words] += std::exp(logp);
            return;
        }
        const float* row = logits.values + frame * logits.tokens;
        double sum = 0.0;
        for (std::size_t token = 0; token < logits.tokens; ++token) {
            sum += std::exp(static_cast<double>(row[token]));
        }
        for (std::size_t token = 0; token < logits.tokens; ++token) {
            path[frame] = token;
            go(frame + 1, logp + static_cast<double>(row[token]) - std::log(sum));
        }
    };
    go(0, 0.0);
    return probability;
}

BeamOptions exhaustive() {
    BeamOptions options;
    options.beam_width = 100000;
    options.beam_prune_logp = -kInfinity;
    options.token_min_logp = -kInfinity;
    options.prune_history = false;
    options.nbest = 100000;
    return options;
}

std::shared_ptr<const LanguageModel> trigrams() {
    return LanguageModel::of(compile(parse_arpa(kTrigrams, "model")), "model");
}

// Logits that spell a text, a blank after each letter.
std::vector<float> spelled(const Vocabulary& vocabulary, const std::string& text, float peak = 8.0F) {
    std::vector<float> values;
    for (const char letter : text) {
        for (std::size_t token = 0; token < vocabulary.tokens.size(); ++token) {
            values.push_back(vocabulary.tokens[token] == std::string(1, letter) ? peak : 0.0F);
        }
        for (std::size_t token = 0; token < vocabulary.tokens.size(); ++token) {
            values.push_back(token == 0 ? peak : 0.0F);
        }
    }
    return values;
}

Vocabulary english() {
    std::vector<std::string> tokens{"", " "};
    for (char letter = 'a'; letter <= 'z'; ++letter) {
        tokens.emplace_back(1, letter);
    }
    return vocabulary_of(tokens);
}

std::vector<Hypothesis> read(const BeamDecoder& decoder, const std::vector<float>& values,
                             std::size_t tokens) {
    return decoder.decode({values.data(), values.size() / tokens, tokens});
}

}  // namespace

TEST_CASE("without a language model every text has the probability of all its paths") {
    std::mt19937 random(3);
    const Vocabulary vocabulary = vocabulary_of({"", " ", "a", "b"});
    const BeamDecoder decoder(vocabulary, nullptr, exhaustive());
    for (std::size_t frames = 1; frames <= 6; ++frames) {
        const auto values = random_logits(random, frames * 4, 2.0F);
        const Logits logits{values.data(), frames, 4};
        const auto truth = all_texts(vocabulary, logits);
        const auto readings = decoder.decode(logits);
        REQUIRE(readings.size() == truth.size());
        for (const auto& reading : readings) {
            REQUIRE(truth.count(reading.text) == 1);
            CHECK(reading.score == doctest::Approx(std::log(truth.at(reading.text))).epsilon(1e-5));
            CHECK(reading.acoustic_score == reading.score);
        }
    }
}

TEST_CASE("tokens of one text are one, and a text has the paths of all its spellings") {
    std::mt19937 random(8);
    for (const auto& tokens :
         {std::vector<std::string>{"", "a", "a", " "}, {"", "a", "b", "ab"}, {"", "a", "aa", " "}}) {
        const Vocabulary vocabulary = vocabulary_of(tokens);
        const auto values = random_logits(random, 5 * 4, 2.0F);
        const Logits logits{values.data(), 5, 4};
        // Two ids of one token are not apart: repeats of them are merged.
        auto truth = all_texts(vocabulary, logits);
        if (tokens[1] == tokens[2]) {
            std::vector<float> joined;
            for (std::size_t frame = 0; frame < 5; ++frame) {
                const float* row = values.data() + frame * 4;
                joined.insert(joined.end(), {row[0], std::log(std::exp(row[1]) + std::exp(row[2])), row[3]});
            }
            truth = all_texts(vocabulary_of({"", "a", " "}), {joined.data(), 5, 3});
        }
        const auto readings = BeamDecoder(vocabulary, nullptr, exhaustive()).decode(logits);
        REQUIRE(readings.size() == truth.size());
        for (const auto& reading : readings) {
            REQUIRE(truth.count(reading.text) == 1);
            CHECK(reading.score == doctest::Approx(std::log(truth.at(reading.text))).epsilon(1e-5));
        }
    }
}

TEST_CASE("with a language model every score is the sum of its parts, brute force") {
    std::mt19937 random(4);
    Vocabulary vocabulary = vocabulary_of({"", " ", "one", "two", "x"});
    BeamOptions options = exhaustive();
    options.hotwords = {{"two", 3.0}};
    const BruteForce brute(parse_arpa(kTrigrams, "model"));
    const BeamDecoder decoder(vocabulary, trigrams(), options);
    const auto values = random_logits(random, 5 * 5, 2.0F);
    const Logits logits{values.data(), 5, 5};
    const auto truth = all_texts(vocabulary, logits);
    std::size_t compared = 0;
    for (const auto& reading : decoder.decode(logits)) {
        const auto words = split(reading.text);
        if (reading.tokens.empty() || reading.tokens.back().text == " ") {
            continue;  // such an end scores an unknown word, as in pyctcdecode
        }
        double expected = 0.0;
        std::vector<std::string> history{"<s>"};
        for (const auto& word : words) {
            const bool known = word == "one" || word == "two";
            expected += 0.5 * std::log(10.0) * (brute.score(history, word) - (known ? 0.0 : 10.0)) + 1.5;
            expected += word == "two" ? 3.0 : 0.0;
            history.push_back(word);
        }
        expected += 0.5 * std::log(10.0) * brute.score(history, "</s>");
        CHECK(reading.language_score == doctest::Approx(expected).epsilon(1e-4));
        CHECK(reading.score == doctest::Approx(reading.acoustic_score + reading.language_score));
        CHECK(reading.acoustic_score <= std::log(truth.at(reading.text)) + 1e-5);
        ++compared;
    }
    CHECK(compared > 20);
}

TEST_CASE("without doubt the beam reads what greedy reads, with its times and confidences") {
    const Vocabulary vocabulary = english();
    const auto values = spelled(vocabulary, "one  two ");
    const Logits logits{values.data(), values.size() / 28, 28};
    const auto own = BeamDecoder(vocabulary, nullptr, {}).decode(logits).at(0);
    const auto other = GreedyDecoder(vocabulary).decode(logits).at(0);
    CHECK(own.text == "one two");
    REQUIRE(own.words.size() == other.words.size());
    REQUIRE(own.tokens.size() == other.tokens.size());
    for (std::size_t index = 0; index < own.words.size(); ++index) {
        CHECK(own.words[index].text == other.words[index].text);
        CHECK(own.words[index].start_frame == other.words[index].start_frame);
        CHECK(own.words[index].end_frame == other.words[index].end_frame);
        CHECK(own.words[index].confidence == doctest::Approx(other.words[index].confidence).epsilon(1e-5));
    }
}

TEST_CASE("chunks give what the whole gives, at every cut") {
    std::mt19937 random(5);
    const Vocabulary vocabulary = english();
    const BeamDecoder decoder(vocabulary, trigrams(), {});
    const auto values = random_logits(random, 60 * 28, 3.0F);
    const auto whole = read(decoder, values, 28).at(0);
    for (const std::size_t chunk : {1U, 7U, 30U, 60U}) {
        const auto stream = decoder.stream();
        for (std::size_t frame = 0; frame < 60; frame += chunk) {
            const std::size_t count = std::min<std::size_t>(chunk, 60 - frame);
            stream->push({values.data() + frame * 28, count, 28});
            stream->read();  // which changes nothing
        }
        const auto own = stream->read().at(0);
        CHECK(own.text == whole.text);
        CHECK(own.score == whole.score);
        REQUIRE(own.tokens.size() == whole.tokens.size());
        CHECK(own.tokens.back().end_frame == whole.tokens.back().end_frame);
    }
}

TEST_CASE("a model and a hotword each turn the reading") {
    const Vocabulary vocabulary = english();
    auto values = spelled(vocabulary, "twa");
    values[4 * 28 + 2 + 14] = 7.5F;  // 'o' is nearly as likely as 'a'
    CHECK(read(BeamDecoder(vocabulary, nullptr, {}), values, 28).at(0).text == "twa");
    CHECK(read(BeamDecoder(vocabulary, trigrams(), {}), values, 28).at(0).text == "two");
    BeamOptions options;
    options.hotwords = {{"two", 10.0}};
    CHECK(read(BeamDecoder(vocabulary, nullptr, options), values, 28).at(0).text == "two");
    options.hotwords = {{"two", 10.0}, {"twa", 30.0}};
    CHECK(read(BeamDecoder(vocabulary, trigrams(), options), values, 28).at(0).text == "twa");
}

TEST_CASE("n-best are in order, and as many as there are") {
    std::mt19937 random(6);
    BeamOptions options;
    options.nbest = 7;
    const auto readings =
        read(BeamDecoder(english(), trigrams(), options), random_logits(random, 30 * 28, 2.0F), 28);
    REQUIRE(readings.size() == 7);
    for (std::size_t index = 1; index < readings.size(); ++index) {
        CHECK(readings[index - 1].score >= readings[index].score);
        CHECK(readings[index - 1].text != readings[index].text);
    }
}

TEST_CASE("pieces start words, and a piece with two marks ends one") {
    const Vocabulary vocabulary = vocabulary_of({"", "▁on", "e", "▁two", "<unk>"});
    std::vector<float> values(7 * 5, 0.0F);
    const std::vector<std::size_t> path{1, 2, 3, 0, 4, 2, 1};
    for (std::size_t frame = 0; frame < path.size(); ++frame) {
        values[frame * 5 + path[frame]] = 9.0F;
    }
    const auto reading = read(BeamDecoder(vocabulary, nullptr, {}), values, 5).at(0);
    CHECK(reading.text == "one two ⁇ e on");
    REQUIRE(reading.words.size() == 5);
    CHECK(reading.words[0].start_frame == 0);
    CHECK(reading.words[0].end_frame == 2);
    CHECK(reading.words[3].text == "e");
    const Vocabulary marked = vocabulary_of({"", "▁", "on", "e"});
    const auto marks =
        read(BeamDecoder(marked, trigrams(), {}), {0, 9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 9, 0, 0}, 4);
    CHECK(marks.at(0).text == "one");
    CHECK(marks.at(0).words.size() == 1);
    const Vocabulary hashed = vocabulary_of({"", "on", "##e", "two"});
    CHECK(read(BeamDecoder(hashed, nullptr, {}), {0, 9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 9}, 4).at(0).text ==
          "one two");
}

TEST_CASE("phonemes are words by themselves, or joined by spaces between delimiters") {
    Vocabulary vocabulary = vocabulary_of({"<pad>", "|", "aɪ", "b"});
    vocabulary.phonemes = true;
    vocabulary.delimiter = "";
    vocabulary.special_tokens = {"<pad>", "|"};
    const std::vector<float> values{0, 0, 9, 0, 0, 0, 0, 9, 0, 9, 0, 0, 0, 0, 9, 0};
    auto reading = read(BeamDecoder(vocabulary, nullptr, {}), values, 4).at(0);
    CHECK(reading.text == "aɪ b aɪ");
    CHECK(reading.words.size() == 3);
    vocabulary.delimiter = "|";
    reading = read(BeamDecoder(vocabulary, nullptr, {}), values, 4).at(0);
    CHECK(reading.text == "aɪ b aɪ");
    REQUIRE(reading.words.size() == 2);
    CHECK(reading.words[0].text == "aɪ b");
}

TEST_CASE("special tokens are no text and keep letters apart") {
    Vocabulary vocabulary = vocabulary_of({"", " ", "a", "<s>"});
    const std::vector<float> values{0, 0, 9, 0, 0, 0, 0, 9, 0, 0, 9, 0};
    CHECK(read(BeamDecoder(vocabulary, nullptr, {}), values, 4).at(0).text == "a<s>a");
    vocabulary.special_tokens = {"<s>", " "};
    CHECK(read(BeamDecoder(vocabulary, nullptr, {}), values, 4).at(0).text == "aa");
}

TEST_CASE("zero frames are an empty text") {
    const auto readings = BeamDecoder(english(), trigrams(), {}).decode({nullptr, 0, 28});
    REQUIRE(readings.size() == 1);
    CHECK(readings[0].text.empty());
    CHECK(readings[0].words.empty());
}

TEST_CASE("a batch on threads gives what one by one gives, and the first error") {
    std::mt19937 random(7);
    const BeamDecoder decoder(english(), trigrams(), {});
    std::vector<std::vector<float>> values;
    std::vector<Logits> clips;
    for (std::size_t frames = 0; frames < 40; ++frames) {
        values.push_back(random_logits(random, frames * 28, 3.0F));
    }
    for (const auto& each : values) {
        clips.push_back({each.data(), each.size() / 28, 28});
    }
    const auto readings = decode_batch(decoder, clips, 8);
    REQUIRE(readings.size() == clips.size());
    for (std::size_t index = 0; index < clips.size(); ++index) {
        CHECK(readings[index].at(0).text == decoder.decode(clips[index]).at(0).text);
    }
    clips[3].tokens = 27;
    CHECK_THROWS_AS(decode_batch(decoder, clips, 8), Error);
}

TEST_CASE("options that cannot be met are errors") {
    const auto error_of = [](const std::function<void(BeamOptions&)>& change,
                             bool model = false) -> std::string {
        BeamOptions options;
        change(options);
        try {
            const BeamDecoder decoder(english(), model ? trigrams() : nullptr, options);
        } catch (const Error& error) {
            return error.what();
        }
        return "none";
    };
    CHECK(error_of([](auto& options) { options.beam_width = 0; }) ==
          "beam_width is 0; expected 1 to 1000000");
    CHECK(error_of([](auto& options) { options.nbest = 0; }) == "nbest is 0; expected at least 1");
    CHECK(error_of([](auto& options) { options.alpha = std::nan(""); }).find("alpha is ") == 0);
    CHECK(error_of([](auto& options) { options.beta = kInfinity; }) ==
          "beta is inf; expected a finite number");
    CHECK(error_of([](auto& options) {
              options.beam_prune_logp = 1.0;
          }).find("expected a logarithm, at most 0") != std::string::npos);
    CHECK(error_of([](auto& options) { options.token_min_logp = std::nan(""); }).find("token_min_logp is ") ==
          0);
    CHECK(error_of([](auto& options) { options.unigrams = std::vector<std::string>{"one"}; }) ==
          "there are unigrams and no language model; expected both, or no unigrams");
    CHECK(error_of([](auto& options) {
              options.hotwords = {{"naïve", 1.0}};
          }) ==
          "the hotword 'naïve' has the letter 'ï', which no token has; expected letters of the vocabulary");
    CHECK(error_of([](auto& options) {
              options.hotwords = {{"one", kInfinity}};
          }) == "the weight of the hotword 'one' is inf; expected a finite number");
    std::string unbounded = kTrigrams;
    for (auto at = unbounded.find("<s>"); at != std::string::npos; at = unbounded.find("<s>")) {
        unbounded.replace(at, 3, "[s]");
    }
    const auto model = LanguageModel::of(compile(parse_arpa(unbounded, "model")), "model");
    CHECK_THROWS_WITH_AS(BeamDecoder(english(), model, {}),
                         "the language model has no <s> and </s>; expected both, or score_boundary off",
                         Error);
}

TEST_CASE("a stream that was refused logits is as it was") {
    const BeamDecoder decoder(english(), nullptr, {});
    const auto stream = decoder.stream();
    const auto values = spelled(english(), "one");
    stream->push({values.data(), values.size() / 28, 28});
    const float bad[28] = {std::numeric_limits<float>::quiet_NaN()};
    CHECK_THROWS_AS(stream->push({bad, 1, 28}), Error);
    CHECK(stream->read().at(0).text == "one");
}
