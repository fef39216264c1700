// Reads n-gram language models in ARPA format, plain or gzip.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace w2vc::decoding {

// Longer n-grams than this are refused.
inline constexpr std::size_t kMaximumOrder = 32;

// The n-grams of one order: word ids [count, order], row-major, base-10 logarithms.
struct ArpaLevel {
    std::vector<std::uint32_t> words;
    std::vector<float> probability;
    std::vector<float> backoff;  // zero where the file has none, and for the highest order
};

// A model as the file has it. levels[n - 1] holds the n-grams; a word's id is its place among the unigrams.
struct ArpaModel {
    std::vector<std::string> words;
    std::vector<ArpaLevel> levels;
};

// Reads a file. Throws Error with the line on anything that is not ARPA: counts that do not hold, numbers
// that are none, probabilities over 1, words that are no unigrams, a truncated file.
ArpaModel read_arpa(const std::string& path);

// The same from memory (not compressed). name: what errors call it.
ArpaModel parse_arpa(std::string_view text, const std::string& name);

}  // namespace w2vc::decoding
