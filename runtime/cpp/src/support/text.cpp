#include "support/text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace w2vc::text {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::size_t kMostShown = 60;

// The code point at `place`, which moves past it; false on what is not UTF-8, of which one byte is passed.
bool next(std::string_view bytes, std::size_t& place, char32_t& point) {
    const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
    const unsigned char first = byte(place++);
    point = first;
    if (first < 0x80) return true;
    const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || place + more > bytes.size()) return false;
    point = first & (0x3Fu >> more);
    for (std::size_t index = 0; index < more; ++index) {
        const unsigned char following = byte(place + index);
        if ((following & 0xC0) != 0x80) return false;
        point = point << 6 | (following & 0x3Fu);
    }
    constexpr std::array<char32_t, 4> least = {0, 0x80, 0x800, 0x10000};
    if (point < least[more] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return false;
    place += more;
    return true;
}

void append_hex(std::string& out, const char* prefix, unsigned value, int digits) {
    std::array<char, 16> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%s%0*x", prefix, digits, value);
    out += buffer.data();
}

}  // namespace

bool is_utf8(std::string_view bytes) {
    char32_t point = 0;
    for (std::size_t place = 0; place < bytes.size();) {
        if (!next(bytes, place, point)) return false;
    }
    return true;
}

std::size_t length(std::string_view utf8) {
    std::size_t count = 0;
    for (const char each : utf8) count += (static_cast<unsigned char>(each) & 0xC0) != 0x80;
    return count;
}

std::vector<char32_t> code_points(std::string_view utf8) {
    std::vector<char32_t> points;
    points.reserve(utf8.size());
    char32_t point = 0;
    for (std::size_t place = 0; place < utf8.size();) {
        points.push_back(next(utf8, place, point) ? point : kReplacement);
    }
    return points;
}

std::string quoted(std::string_view utf8) {
    const bool doubled = utf8.find('\'') != utf8.npos && utf8.find('"') == utf8.npos;
    const char quote = doubled ? '"' : '\'';
    std::string out(1, quote);
    for (const char32_t point : code_points(utf8)) {
        if (point == '\n')
            out += "\\n";
        else if (point == '\r')
            out += "\\r";
        else if (point == '\t')
            out += "\\t";
        else if (point == '\\' || point == static_cast<unsigned char>(quote))
            (out += '\\') += static_cast<char>(point);
        else if (point >= ' ' && point <= '~')
            out += static_cast<char>(point);
        else if (point < 0x100)
            append_hex(out, "\\x", point, 2);
        else if (point < 0x10000)
            append_hex(out, "\\u", point, 4);
        else
            append_hex(out, "\\U", point, 8);
    }
    return out += quote;
}

std::string cut(std::string shown) {
    if (shown.size() > kMostShown) shown.replace(kMostShown, shown.npos, "...");
    return shown;
}

std::string json(std::string_view utf8, bool ascii) {
    std::string out = "\"";
    const auto control = [&](char32_t point) {
        switch (point) {
            case '"':
                out += "\\\"";
                return;
            case '\\':
                out += "\\\\";
                return;
            case '\n':
                out += "\\n";
                return;
            case '\r':
                out += "\\r";
                return;
            case '\t':
                out += "\\t";
                return;
            case '\f':
                out += "\\f";
                return;
            case '\b':
                out += "\\b";
                return;
            default:
                append_hex(out, "\\u", point, 4);
        }
    };
    if (!ascii) {
        for (const char each : utf8) {
            const auto byte = static_cast<unsigned char>(each);
            if (byte < ' ' || byte == '"' || byte == '\\')
                control(byte);
            else
                out += each;
        }
        return out += '"';
    }
    for (const char32_t point : code_points(utf8)) {
        if (point >= ' ' && point <= '~' && point != '"' && point != '\\') {
            out += static_cast<char>(point);
        } else if (point < 0x10000) {
            control(point);
        } else {
            append_hex(out, "\\u", 0xD800 + ((point - 0x10000) >> 10), 4);
            append_hex(out, "\\u", 0xDC00 + ((point - 0x10000) & 0x3FF), 4);
        }
    }
    return out += '"';
}

std::string general(double value) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%g", value);
    return buffer.data();
}

std::string number(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
    std::array<char, 64> buffer{};
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
    const std::string shortest(buffer.data(), end.ptr);
    const std::size_t mark = shortest.find('e');
    const int exponent = std::atoi(shortest.c_str() + mark + 1);
    if (exponent < -4 || exponent >= 16) return shortest;
    std::string out = value < 0 ? "-" : "";
    std::string digits;
    for (const char each : shortest.substr(0, mark)) {
        if (each >= '0' && each <= '9') digits += each;
    }
    if (exponent < 0) {
        return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
    }
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
    return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

namespace {

double reread(const char* first, std::size_t size) {
    double value = 0;
    std::from_chars(first, first + size, value);
    return value;
}

}  // namespace

double rounded(double value, int decimals) {
    if (!std::isfinite(value)) return value;
    std::array<char, 400> buffer{};  // the largest float64 has 309 digits before the point
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                   std::chars_format::fixed, decimals);
    return reread(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
}

double significant(double value, int digits) {
    if (!std::isfinite(value)) return value;
    std::array<char, 64> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                   std::chars_format::scientific, digits - 1);
    return reread(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
}

std::string grouped(std::int64_t value) {
    std::string digits = std::to_string(value);
    const std::size_t sign = value < 0 ? 1 : 0;
    for (std::size_t place = digits.size(); place > sign + 3;) {
        place -= 3;
        digits.insert(place, 1, ',');
    }
    return digits;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    std::string joined;
    for (const std::string& part : parts) {
        if (&part != &parts.front()) joined += separator;
        joined += part;
    }
    return joined;
}

}  // namespace w2vc::text
