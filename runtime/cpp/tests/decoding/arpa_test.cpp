#include "decoding/arpa.hpp"

#include <doctest/doctest.h>
#ifdef W2VC_ZLIB
#include <zlib.h>
#endif

#include <cstdio>
#include <fstream>
#include <string>

#include "decoding/compact.hpp"
#include "decoding/decoder.hpp"
#include "models.hpp"

using namespace w2vc::decoding;
using namespace w2vc::decoding::tests;

namespace {

std::string replaced(const std::string& from, const std::string& to) {
    std::string text = kTrigrams;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

std::string error_of(const std::string& text) {
    try {
        compile(parse_arpa(text, "lm.arpa"));
    } catch (const Error& error) {
        return error.what();
    }
    return "none";
}

#ifdef W2VC_ZLIB
void write_gzip(const std::string& path, const std::string& text) {
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
}
#endif

}  // namespace

TEST_CASE("a model is read as it is, with what the format allows") {
    const ArpaModel model = parse_arpa(kTrigrams, "lm.arpa");
    REQUIRE(model.levels.size() == 3);
    CHECK(model.words[3] == "one");
    CHECK(model.levels[0].backoff[3] == -0.3F);
    CHECK(model.levels[0].backoff[2] == 0.0F);
    CHECK(model.levels[2].probability[1] == -0.1F);
    CHECK(error_of("made by hand\n\n" + std::string(kTrigrams)) == "none");
    CHECK(error_of(replaced("-0.7\tone\t-0.3\n", "  -0.7 one  +0.3 \r\n\n")) == "none");
    CHECK(error_of(replaced("-0.7\tone", "-7e-46\tone")) == "none");
    CHECK(parse_arpa(replaced("<unk>", "<UNK>"), "lm.arpa").words[0] == "<unk>");
}

#ifdef W2VC_ZLIB
TEST_CASE("gzip is read, and is refused where it is cut off or damaged") {
    const std::string path = "arpa_test.arpa.gz";
    write_gzip(path, kTrigrams);
    CHECK(read_arpa(path).words.size() == 6);
    std::ifstream source(path, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(source)), {});
    for (std::size_t length = 12; length < whole.size(); length += 7) {
        std::ofstream(path, std::ios::binary) << whole.substr(0, length);
        CHECK_THROWS_AS(read_arpa(path), Error);
    }
    std::string damaged = whole;
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
    std::ofstream(path, std::ios::binary) << damaged;
    CHECK_THROWS_AS(read_arpa(path), Error);
    std::remove(path.c_str());
}
#endif

TEST_CASE("what is not ARPA is an error with its line") {
    CHECK(error_of("") == "lm.arpa has no line \\data\\; expected an ARPA language model");
    CHECK(error_of("\\data\\\n") == "lm.arpa ends after line 1; expected the counts of n-grams");
    CHECK(error_of("\\data\\\n\\end\\\n") ==
          "lm.arpa, line 2: there is '\\end\\'; expected a count such as 'ngram 1=5000'");
    CHECK(error_of(replaced("ngram 2=5", "ngram 2=4")) ==
          "lm.arpa, line 19: there are more 2-grams than the 4 that the file announces");
    CHECK(error_of(replaced("ngram 2=5", "ngram 2=6")) ==
          "lm.arpa, line 21: there were 5 2-grams; expected the 6 that the file announces");
    CHECK(error_of(replaced("ngram 2=5\n", "")) ==
          "lm.arpa, line 3: there is the count of 3-grams; expected that of 2-grams");
    CHECK(error_of(replaced("ngram 2=5", "ngram 2=-5")).find("expected a count such as") !=
          std::string::npos);
    CHECK(error_of(replaced("ngram 1=6", "ngram 1=0")) ==
          "lm.arpa, line 2: the model has no unigrams; expected at "
          "least one");
    CHECK(error_of(replaced("ngram 3=4", "ngram 3=99999999999999999999999")).find("expected a count") !=
          std::string::npos);
    CHECK(error_of(replaced("ngram 3=4", "ngram 3=9999999999")) ==
          "lm.arpa, line 4: there are 9999999999 n-grams of one order; expected at most 2147483647");
    CHECK(error_of(replaced("\\3-grams:", "\\4-grams:")) ==
          "lm.arpa, line 21: there is '\\4-grams:'; expected \\3-grams:");
    CHECK(error_of(replaced("-0.7\tone", "minus\tone")) ==
          "lm.arpa, line 10: the probability is 'minus'; expected a number");
    CHECK(error_of(replaced("-0.7\tone", "nan\tone")) ==
          "lm.arpa, line 10: the probability is 'nan'; expected a "
          "number");
    CHECK(error_of(replaced("-0.7\tone", "-inf\tone")).find("expected a number") != std::string::npos);
    CHECK(error_of(replaced("-0.7\tone", "-1e400\tone")).find("expected a number") != std::string::npos);
    CHECK(error_of(replaced("-0.7\tone", "0.7\tone")) ==
          "lm.arpa, line 10: the probability '0.7' is over 0; expected a base-10 logarithm");
    CHECK(error_of(replaced("one\t-0.3", "one\tx")) ==
          "lm.arpa, line 10: the backoff is 'x'; expected a number");
    CHECK(
        error_of(replaced("-0.8\ttwo\t-0.2", "-0.8\ttwo\t-0.2\t1")) ==
        "lm.arpa, line 11: there is '-0.8?two?-0.2?1'; expected a probability, 1 word and at most a backoff");
    CHECK(error_of(replaced("-0.5\tone two\t-0.15", "-0.5\tone")).find("expected a probability, 2 words") !=
          std::string::npos);
    CHECK(error_of(replaced("\ttwo\t", "\tone\t")) ==
          "lm.arpa, line 11: the word 'one' is there twice; expected once");
    CHECK(error_of(replaced("<s> one\t", "<s> four\t")) ==
          "lm.arpa, line 15: the word 'four' is not among the unigrams; expected all words to be");
    CHECK(error_of(replaced("two three\t0", "one two\t0")) ==
          "the 2-gram 'one two' is there twice; expected once");
    CHECK(error_of(replaced("<s> one two\n", "<s> one two\t-1\n")) ==
          "lm.arpa, line 22: the highest order has the backoff '-1'; expected none");
    CHECK(error_of(replaced("\\end\\\n", "")) == "lm.arpa ends after line 26; expected n-grams or \\end\\");
    CHECK(error_of(replaced("\\end\\", "\\4-grams:")) ==
          "lm.arpa, line 27: there is '\\4-grams:' after the 3-grams; expected \\end\\");
    CHECK(error_of("\\data\\\nngram 1=1\n\n\\1-grams:\n-1 " + std::string(3 << 20, 'x'))
              .find("is longer than 1048576 bytes") != std::string::npos);
    std::string deep = "\\data\\\n";
    for (int order = 1; order <= 33; ++order) {
        deep += "ngram " + std::to_string(order) + "=1\n";
    }
    CHECK(error_of(deep) == "lm.arpa, line 34: the model has an order over 32; expected at most that");
}

TEST_CASE("any cut of a model is an error and no crash") {
    const std::string whole = kTrigrams;
    for (std::size_t length = 0; length + 2 < whole.size(); ++length) {
        CHECK(error_of(whole.substr(0, length)) != "none");
    }
}

TEST_CASE("a directory and a file that is not there are errors") {
    CHECK_THROWS_AS(read_arpa("."), Error);
    CHECK_THROWS_WITH_AS(read_arpa("not-there.arpa"), "cannot read not-there.arpa: No such file or directory",
                         Error);
}
