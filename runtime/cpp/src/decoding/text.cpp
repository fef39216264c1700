#include "decoding/text.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "decoding/unicode_tables.hpp"

namespace w2vc::decoding {
namespace {

constexpr char32_t kEscapedByte = 0xDC00;  // as Python's surrogateescape
constexpr char32_t kCapitalSigma = 0x03A3;
constexpr char32_t kSigma = 0x03C3;
constexpr char32_t kFinalSigma = 0x03C2;
constexpr char32_t kCapitalDottedI = 0x0130;
constexpr char32_t kDotAbove = 0x0307;

template <std::size_t N>
bool contains(const std::array<unicode::Range, N>& ranges, char32_t point) {
    const auto after =
        std::upper_bound(ranges.begin(), ranges.end(), point,
                         [](char32_t value, const auto& range) { return value < range.first; });
    return after != ranges.begin() && point <= std::prev(after)->last;
}

char32_t lower(char32_t point) {
    const auto& runs = unicode::kLower;
    const auto after = std::upper_bound(runs.begin(), runs.end(), point,
                                        [](char32_t value, const auto& run) { return value < run.first; });
    if (after == runs.begin()) {
        return point;
    }
    const auto& run = *std::prev(after);
    if (point > run.last || (point - run.first) % run.step != 0) {
        return point;
    }
    return static_cast<char32_t>(static_cast<std::int64_t>(point) + run.delta);
}

// Whether a capital sigma at `index` ends its word (Unicode 3.13, Final_Sigma).
bool is_final(const std::vector<char32_t>& points, std::size_t index) {
    std::size_t before = index;
    while (before > 0 && contains(unicode::kCaseIgnorable, points[before - 1])) {
        --before;
    }
    if (before == 0 || !contains(unicode::kCased, points[before - 1])) {
        return false;
    }
    std::size_t after = index + 1;
    while (after < points.size() && contains(unicode::kCaseIgnorable, points[after])) {
        ++after;
    }
    return after == points.size() || !contains(unicode::kCased, points[after]);
}

std::size_t continuations(unsigned char lead) {
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 1;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return 2;
    }
    return lead >= 0xF0 && lead <= 0xF4 ? 3 : 0;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

}  // namespace

char32_t next_code_point(std::string_view text, std::size_t& position) {
    const auto lead = static_cast<unsigned char>(text[position]);
    ++position;
    if (lead < 0x80) {
        return lead;
    }
    const std::size_t more = continuations(lead);
    if (more == 0 || position + more > text.size()) {
        return kEscapedByte + lead;
    }
    char32_t point = lead & (0x3FU >> more);
    for (std::size_t index = 0; index < more; ++index) {
        const auto byte = static_cast<unsigned char>(text[position + index]);
        if ((byte & 0xC0U) != 0x80) {
            return kEscapedByte + lead;
        }
        point = (point << 6U) | (byte & 0x3FU);
    }
    position += more;
    return point;
}

void append_code_point(std::string& text, char32_t point) {
    if (point < 0x80) {
        text += static_cast<char>(point);
    } else if (point < 0x800) {
        text += static_cast<char>(0xC0U | (point >> 6U));
        text += static_cast<char>(0x80U | (point & 0x3FU));
    } else if (point > kEscapedByte && point <= kEscapedByte + 0xFF) {
        text += static_cast<char>(point - kEscapedByte);
    } else if (point < 0x10000) {
        text += static_cast<char>(0xE0U | (point >> 12U));
        text += static_cast<char>(0x80U | ((point >> 6U) & 0x3FU));
        text += static_cast<char>(0x80U | (point & 0x3FU));
    } else {
        text += static_cast<char>(0xF0U | (point >> 18U));
        text += static_cast<char>(0x80U | ((point >> 12U) & 0x3FU));
        text += static_cast<char>(0x80U | ((point >> 6U) & 0x3FU));
        text += static_cast<char>(0x80U | (point & 0x3FU));
    }
}

std::size_t length(std::string_view text) {
    std::size_t count = 0;
    for (std::size_t position = 0; position < text.size(); ++count) {
        next_code_point(text, position);
    }
    return count;
}

bool is_space(char32_t point) {
    return (point >= 0x09 && point <= 0x0D) || (point >= 0x1C && point <= 0x20) || point == 0x85 ||
           point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
           point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

std::string strip(std::string_view text) {
    std::size_t first = text.size();
    std::size_t last = 0;
    for (std::size_t position = 0; position < text.size();) {
        const std::size_t start = position;
        if (!is_space(next_code_point(text, position))) {
            first = std::min(first, start);
            last = position;
        }
    }
    return first < last ? std::string(text.substr(first, last - first)) : std::string();
}

std::string lower(std::string_view text) {
    std::vector<char32_t> points;
    for (std::size_t position = 0; position < text.size();) {
        points.push_back(next_code_point(text, position));
    }
    std::string lowered;
    for (std::size_t index = 0; index < points.size(); ++index) {
        if (points[index] == kCapitalSigma) {
            append_code_point(lowered, is_final(points, index) ? kFinalSigma : kSigma);
        } else if (points[index] == kCapitalDottedI) {
            append_code_point(lowered, U'i');
            append_code_point(lowered, kDotAbove);
        } else {
            append_code_point(lowered, lower(points[index]));
        }
    }
    return lowered;
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    for (std::size_t position = 0; position < text.size();) {
        const std::size_t start = position;
        if (!is_space(next_code_point(text, position))) {
            word.append(text.substr(start, position - start));
        } else if (!word.empty()) {
            words.push_back(std::exchange(word, {}));
        }
    }
    if (!word.empty()) {
        words.push_back(std::move(word));
    }
    return words;
}

std::string clean_up(std::string text) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kCleanUps{{
        {" .", "."},
        {" ?", "?"},
        {" !", "!"},
        {" ,", ","},
        {" ' ", "'"},
        {" n't", "n't"},
        {" 'm", "'m"},
        {" 's", "'s"},
        {" 've", "'ve"},
        {" 're", "'re"},
    }};
    for (const auto& [spaced, joined] : kCleanUps) {
        replace_all(text, spaced, joined);
    }
    return text;
}

}  // namespace w2vc::decoding
