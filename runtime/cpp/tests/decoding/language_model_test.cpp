#include "decoding/language_model.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "decoding/decoder.hpp"
#include "models.hpp"

using namespace w2vc::decoding;
using namespace w2vc::decoding::tests;

namespace {

std::shared_ptr<const LanguageModel> model_of(const std::string& arpa) {
    return LanguageModel::of(compile(parse_arpa(arpa, "model")), "model");
}

// A pruned model of random n-grams: contexts and suffixes of an n-gram may be missing.
std::string random_arpa(std::mt19937& random, std::size_t order, std::size_t words, bool unknown) {
    std::vector<std::string> vocabulary{"<s>", "</s>"};
    if (unknown) {
        vocabulary.emplace_back("<unk>");
    }
    for (std::size_t index = 0; index < words; ++index) {
        vocabulary.push_back("w" + std::to_string(index * 7919 % 1000));
    }
    std::vector<std::set<std::string>> ngrams(order);
    ngrams[0].insert(vocabulary.begin(), vocabulary.end());
    for (std::size_t length = 2; length <= order; ++length) {
        for (std::size_t count = 0; count < 3 * words; ++count) {
            std::string ngram;
            for (std::size_t index = 0; index < length; ++index) {
                ngram += (index == 0 ? "" : " ") + vocabulary[random() % vocabulary.size()];
            }
            ngrams[length - 1].insert(ngram);
        }
    }
    std::ostringstream text;
    text << "\\data\\\n";
    for (std::size_t length = 1; length <= order; ++length) {
        text << "ngram " << length << "=" << ngrams[length - 1].size() << "\n";
    }
    for (std::size_t length = 1; length <= order; ++length) {
        text << "\n\\" << length << "-grams:\n";
        for (const auto& ngram : ngrams[length - 1]) {
            text << -static_cast<double>(random() % 4000) / 1000.0 << "\t" << ngram;
            if (length < order && random() % 3 != 0) {
                text << "\t" << static_cast<double>(random() % 2000) / 1000.0 - 1.5;
            }
            text << "\n";
        }
    }
    text << "\n\\end\\\n";
    return text.str();
}

void check_against_brute_force(const std::string& arpa, std::mt19937& random, std::size_t sentences) {
    const ArpaModel raw = parse_arpa(arpa, "model");
    const BruteForce brute(raw);
    const auto model = model_of(arpa);
    for (std::size_t sentence = 0; sentence < sentences; ++sentence) {
        std::vector<std::string> history{"<s>"};
        LanguageState state = model->begin_state();
        for (std::size_t index = 0; index < 8; ++index) {
            const std::size_t pick = random() % (raw.words.size() + 1);
            const std::string word = pick == raw.words.size() ? "never-seen" : raw.words[pick];
            LanguageState next = 0;
            const float own = model->score(state, model->find(word), next);
            REQUIRE(static_cast<double>(own) == doctest::Approx(brute.score(history, word)).epsilon(1e-5));
            state = next;
            history.push_back(word);
        }
    }
}

}  // namespace

TEST_CASE("scores equal backoff by its definition") {
    std::mt19937 random(1);
    check_against_brute_force(kTrigrams, random, 200);
    for (std::size_t order = 1; order <= 5; ++order) {
        for (const bool unknown : {true, false}) {
            check_against_brute_force(random_arpa(random, order, 12, unknown), random, 200);
        }
    }
}

TEST_CASE("a model knows its words and its bounds") {
    const auto model = model_of(kTrigrams);
    CHECK(model->order() == 3);
    CHECK(model->words() == 6);
    CHECK(model->ngrams() == 6 + 6 + 4);  // with the context that was missing
    CHECK(model->has_bounds());
    CHECK(model->word(model->find("two")) == "two");
    CHECK(model->find("four") == model->unknown());
    CHECK(model->word(6).empty());
}

TEST_CASE("a state is no longer than what it can tell apart") {
    const auto model = model_of(kTrigrams);
    LanguageState from_two = 0;
    LanguageState from_nothing = 0;
    model->score(model->empty_state(), model->find("three"), from_nothing);
    LanguageState one_three = 0;
    model->score(from_nothing, model->find("never-seen"), from_two);
    CHECK(from_two == model->empty_state());
    model->score(model->begin_state(), model->find("one"), one_three);
    CHECK(one_three != from_nothing);
}

TEST_CASE("a compiled file is the model, and its ARPA file is too") {
    const std::string path = "language_model_test.bin";
    write_file(compile(parse_arpa(kTrigrams, "model")), path);
    const auto mapped = LanguageModel::open(path);
    const auto own = model_of(kTrigrams);
    LanguageState next = 0;
    CHECK(mapped->score(mapped->begin_state(), mapped->find("one"), next) ==
          own->score(own->begin_state(), own->find("one"), next));
    std::ofstream("language_model_test.arpa") << kTrigrams;
    CHECK(LanguageModel::open("language_model_test.arpa")->words() == 6);
    std::remove("language_model_test.arpa");
    std::remove(path.c_str());
    CHECK_THROWS_WITH_AS(LanguageModel::open(path),
                         ("cannot read " + path + ": No such file or directory").c_str(), Error);
}

TEST_CASE("every damaged byte of a compiled model is refused") {
    const Mapping sound = compile(parse_arpa(kTrigrams, "model"));
    const std::size_t size = sound.size();
    for (std::size_t position = 0; position < size; ++position) {
        std::vector<std::uint64_t> words(size / 8);
        std::memcpy(words.data(), sound.data(), size);
        reinterpret_cast<std::uint8_t*>(words.data())[position] ^= 0x10U;
        CHECK_THROWS_AS(LanguageModel::of(Mapping(std::move(words), size), "model"), Error);
    }
    for (std::size_t length = 0; length < size; length += 8) {
        std::vector<std::uint64_t> words(size / 8);
        std::memcpy(words.data(), sound.data(), size);
        words.resize(length / 8);
        CHECK_THROWS_AS(LanguageModel::of(Mapping(std::move(words), length), "model"), Error);
    }
}

TEST_CASE("a forged model scores wrongly at worst") {
    const Mapping sound = compile(parse_arpa(kTrigrams, "model"));
    const std::size_t size = sound.size();
    std::mt19937 random(2);
    for (std::size_t round = 0; round < 3000; ++round) {
        std::vector<std::uint64_t> words(size / 8);
        std::memcpy(words.data(), sound.data(), size);
        auto* bytes = reinterpret_cast<std::uint8_t*>(words.data());
        for (std::size_t count = 0; count < 4; ++count) {
            bytes[random() % size] = static_cast<std::uint8_t>(random());
        }
        try {
            const auto model = LanguageModel::of(Mapping(std::move(words), size), "model", false);
            LanguageState state = model->begin_state();
            for (std::uint32_t word = 0; word < 8; ++word) {
                model->score(state, model->find(model->word(word)), state);
                model->score(static_cast<LanguageState>(random()), word, state);
            }
        } catch (const Error&) {
        }
    }
}

TEST_CASE("a binary file of KenLM is known by its first bytes") {
    const std::string path = "language_model_test.bin";
    std::ofstream(path) << "mmap lm http://kheafield.com/code format version 5\n" << std::string(100, '\0');
    CHECK_THROWS_WITH_AS(
        LanguageModel::open(path),
        (path + " is a binary file of KenLM; expected the ARPA file that it was built from").c_str(), Error);
    std::remove(path.c_str());
}
