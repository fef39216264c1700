// Text as Python's str has it: white space, lower case, code points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace w2vc::decoding {

// The code point at `position`, which moves past it. A byte that is no UTF-8 is a code point of its own,
// 0xDC00 up.
char32_t next_code_point(std::string_view text, std::size_t& position);

// The UTF-8 of a code point, appended.
void append_code_point(std::string& text, char32_t point);

// Code points of a text: what Python's len() says.
std::size_t length(std::string_view text);

// Whether Python's str.isspace() holds for a code point.
bool is_space(char32_t point);

// str.strip(), str.lower() and str.split() of Python, final sigma included.
std::string strip(std::string_view text);
std::string lower(std::string_view text);
std::vector<std::string> split(std::string_view text);

// Joins English punctuation and contractions (clean_up_tokenization of Hugging Face).
std::string clean_up(std::string text);

}  // namespace w2vc::decoding
