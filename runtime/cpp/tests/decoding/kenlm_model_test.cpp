#include "decoding/kenlm_model.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "decoding/decoder.hpp"
#include "decoding/language_model.hpp"
#include "models.hpp"

using namespace w2vc::decoding;
using namespace w2vc::decoding::tests;

TEST_CASE("a binary file of KenLM is known by its first bytes") {
    const std::string path = "kenlm_model_test.bin";
    std::ofstream(path) << "mmap lm http://kheafield.com/code format version 5\n" << std::string(100, '\0');
    CHECK(is_kenlm(path));
    CHECK_THROWS_AS(open_language_model(path), Error);  // damaged, or of no use to this build
    CHECK_THROWS_WITH_AS(
        LanguageModel::open(path),
        (path + " is a binary file of KenLM; expected the ARPA file that it was built from").c_str(), Error);
    std::ofstream(path) << kTrigrams;
    CHECK_FALSE(is_kenlm(path));
    CHECK(open_language_model(path)->order() == 3);
    std::remove(path.c_str());
}

#ifdef W2VC_KENLM

TEST_CASE("KenLM scores as our own reader does") {
    const std::string path = "kenlm_model_test.arpa";  // which KenLM reads too
    std::string complete = kTrigrams;                  // and wants all contexts of
    complete.replace(complete.find("-0.45\tone three one\n"), 20, "");
    complete.replace(complete.find("ngram 3=4"), 9, "ngram 3=3");
    std::ofstream(path) << complete;
    const auto theirs = open_kenlm(path);
    const auto own = LanguageModel::open(path);
    CHECK(theirs->order() == own->order());
    for (const auto* sentence : {"one two three", "two two four one", "three three"}) {
        LanguageState left = theirs->begin_state();
        LanguageState right = own->begin_state();
        std::string words = sentence;
        for (std::size_t at = 0; at < words.size();) {
            const std::size_t end = std::min(words.size(), words.find(' ', at));
            const std::string word = words.substr(at, end - at);
            CHECK(theirs->score(left, theirs->find(word), left) == own->score(right, own->find(word), right));
            CHECK((theirs->find(word) == theirs->unknown()) == (own->find(word) == own->unknown()));
            at = end + 1;
        }
        CHECK(theirs->score(left, theirs->end(), left) == own->score(right, own->end(), right));
    }
    std::remove(path.c_str());
}

#endif
