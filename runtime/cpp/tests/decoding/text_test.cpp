#include "decoding/text.hpp"

#include <doctest/doctest.h>

using namespace w2vc::decoding;

TEST_CASE("lower case is Python's") {
    CHECK(lower("ZERO Ä Ω Ѐ") == "zero ä ω ѐ");
    CHECK(lower("ΟΔΟΣ ΣΑΣ") == "οδος σας");
    CHECK(lower("Σ") == "σ");
    CHECK(lower("AΣ.") == "aς.");
    CHECK(lower("AΣ.B") == "aσ.b");
    CHECK(lower("İ") == "i̇");
    CHECK(lower("\xff A") == "\xff a");
}

TEST_CASE("white space is Python's") {
    CHECK(strip(" \t\xc2\xa0 a b\xe3\x80\x80") == "a b");
    CHECK(strip("   ") == "");
    CHECK(split("  one\xe2\x80\x83two \n") == std::vector<std::string>{"one", "two"});
    CHECK(length("aä中") == 3);
    CHECK(length("\xe4\xb8") == 2);
}

TEST_CASE("clean-up joins punctuation") {
    CHECK(clean_up("do n't , he 's ? I 'm") == "don't, he's? I'm");
    CHECK(clean_up("no") == "no");
}
