#include <doctest/doctest.h>

#include <cmath>

#include "support/files.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

using namespace w2vc;

TEST_CASE("sha256 of texts around the length of a block") {
    CHECK(files::sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(files::sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(files::sha256(std::string(55, 'a')) ==
          "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    CHECK(files::sha256(std::string(56, 'a')) ==
          "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    CHECK(files::sha256(std::string(1000000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("numbers as Python shows them") {
    CHECK(text::number(0.1) == "0.1");
    CHECK(text::number(1e-7) == "1e-07");
    CHECK(text::number(100) == "100.0");
    CHECK(text::number(1e16) == "1e+16");
    CHECK(text::number(123456789012345680.0) == "1.2345678901234568e+17");
    CHECK(text::number(0.0001) == "0.0001");
    CHECK(text::number(0.00001) == "1e-05");
    CHECK(text::number(-1234.5) == "-1234.5");
    CHECK(text::number(-0.0) == "-0.0");
    CHECK(text::rounded(2.675, 2) == 2.67);
    CHECK(text::rounded(0.5, 0) == 0);
    CHECK(text::rounded(1e300, 3) == 1e300);
    CHECK(text::significant(0.123456789, 7) == 0.1234568);
    CHECK(text::grouped(-1234567) == "-1,234,567");
    CHECK(text::grouped(123) == "123");
}

TEST_CASE("texts as Python shows them") {
    CHECK(text::quoted("a'b") == "\"a'b\"");
    CHECK(text::quoted("a'b\"") == "'a\\'b\"'");
    CHECK(text::quoted("\x1b[2J\n\xc3\xa9\xf0\x9f\x98\x80") == "'\\x1b[2J\\n\\xe9\\U0001f600'");
    CHECK(text::json("\xc3\xa9\x7f\xf0\x9f\x98\x80\"", true) == "\"\\u00e9\\u007f\\ud83d\\ude00\\\"\"");
    CHECK(text::json("\xc3\xa9\x7f\n", false) == "\"\xc3\xa9\x7f\\n\"");
    CHECK_FALSE(text::is_utf8("\xed\xa0\x80"));
    CHECK_FALSE(text::is_utf8("\xc0\x80"));
    CHECK(text::is_utf8("\xf0\x9f\x98\x80"));
}

TEST_CASE("documents are read within limits") {
    const auto said = [](const std::string& content) -> std::string {
        try {
            json::Document::parse(content);
        } catch (const json::DocumentError& error) {
            return error.what();
        }
        return "";
    };
    CHECK(said("[1, -2.5e3, \"a\", null, {\"b\": true}]").empty());
    CHECK(said(std::string(100000, '[')) == "it is not JSON");
    CHECK(said(std::string(33, '[') + std::string(33, ']')) == "it is nested more than 32 deep");
    CHECK(said("[1e999]") == "it has the number 1e999, which is not finite");
    CHECK(said("[1e-999]").empty());
    CHECK(said("[1234567890123456789]") == "it has a whole number of 19 digits; 18 are the most");
    CHECK(said("{\"a\": 1, \"a\": 2}") == "it has an object in which a key comes twice");
    CHECK(said("\"\\ud800\"") == "it has a text with half of a surrogate pair");
    CHECK(said("\"" + std::string(10001, 'x') + "\"") ==
          "it has a text of 10,001 characters; 10,000 are the most");
    CHECK(json::canonical(json::Document::parse("{\"b\":[1,2.50,-0],\"a\":{}}").root()) ==
          "{\"a\": {}, \"b\": [1, 2.5, 0]}");
}
