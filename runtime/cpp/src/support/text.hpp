// Text for people, as the Python runtime writes it, so that both say the same of the same input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace w2vc::text {

// Whether bytes are UTF-8 without surrogates.
bool is_utf8(std::string_view bytes);

// How many code points UTF-8 has.
std::size_t length(std::string_view utf8);

// The code points of UTF-8; what is not UTF-8 becomes U+FFFD.
std::vector<char32_t> code_points(std::string_view utf8);

// A text in quotes, of printable ASCII alone (Python's `ascii`).
std::string quoted(std::string_view utf8);

// The first 60 characters of `shown`, for a value that may be of any size.
std::string cut(std::string shown);

// A text as JSON with escapes for all but ASCII (Python's `json.dumps`), or for control characters only.
std::string json(std::string_view utf8, bool ascii);

// The shortest decimal that reads as the same float64 (Python's `repr`).
std::string number(double value);

// A number with up to six digits (Python's `f"{value:g}"`).
std::string general(double value);

// The float64 nearest to a value rounded to some decimals, half to even of its exact value (Python's
// `round`).
double rounded(double value, int decimals);

// The float64 of a value written with some significant digits (Python's `float(f"{value:.7g}")`).
double significant(double value, int digits);

// A whole number with commas, as 1,234,567.
std::string grouped(std::int64_t value);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace w2vc::text
