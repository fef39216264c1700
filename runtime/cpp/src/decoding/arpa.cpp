#include "decoding/arpa.hpp"

#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "decoding/decoder.hpp"
#include "decoding/lines.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::size_t kLongestPreamble = 10'000;  // lines before \data\, which the format allows
constexpr float kLargest = 1e6F;                  // so that no sum of scores overflows
constexpr std::size_t kShown = 60;

std::string quoted(std::string_view text) {
    std::string shown = "'";
    for (const char byte : text.substr(0, kShown)) {
        shown += std::iscntrl(static_cast<unsigned char>(byte)) != 0 ? '?' : byte;
    }
    return shown + (text.size() > kShown ? "...'" : "'");
}

bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\v' || byte == '\f' || byte == '\r';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_blank(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

void split(std::string_view line, std::vector<std::string_view>& fields) {
    fields.clear();
    std::size_t position = 0;
    while (position < line.size()) {
        while (position < line.size() && is_blank(line[position])) {
            ++position;
        }
        const std::size_t start = position;
        while (position < line.size() && !is_blank(line[position])) {
            ++position;
        }
        if (position > start) {
            fields.push_back(line.substr(start, position - start));
        }
    }
}

class Reader {
  public:
    Reader(Lines& lines, std::string name) : lines_(lines), name_(std::move(name)) {}

    ArpaModel read() {
        read_counts();
        for (std::size_t order = 1; order <= counts_.size(); ++order) {
            read_level(order);
        }
        if (trimmed(line_) != "\\end\\") {
            fail("there is " + quoted(line_) + " after the " + std::to_string(counts_.size()) +
                 "-grams; expected \\end\\");
        }
        return std::move(model_);
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw Error(name_ + ", line " + std::to_string(lines_.number()) + ": " + what);
    }

    // Moves to the next line that is not empty.
    void advance(const std::string& expected) {
        do {
            if (!lines_.next(line_)) {
                throw Error(name_ + " ends after line " + std::to_string(lines_.number()) + "; expected " +
                            expected);
            }
        } while (trimmed(line_).empty());
    }

    void read_counts() {
        do {
            if (lines_.number() > kLongestPreamble || !lines_.next(line_)) {
                throw Error(name_ + " has no line \\data\\; expected an ARPA language model");
            }
        } while (trimmed(line_) != "\\data\\");
        for (advance("the counts of n-grams"); line_.substr(0, 5) == "ngram"; advance("\\1-grams:")) {
            const std::string text(trimmed(line_.substr(5)));
            const std::size_t sign = text.find('=');
            std::uint64_t order = 0;
            std::uint64_t count = 0;
            if (sign == std::string::npos || !number(trimmed(text.substr(0, sign)), order) ||
                !number(trimmed(text.substr(sign + 1)), count)) {
                fail("there is " + quoted(line_) + "; expected a count such as 'ngram 1=5000'");
            }
            if (order != counts_.size() + 1) {
                fail("there is the count of " + std::to_string(order) + "-grams; expected that of " +
                     std::to_string(counts_.size() + 1) + "-grams");
            }
            if (order > kMaximumOrder) {
                fail("the model has an order over " + std::to_string(kMaximumOrder) +
                     "; expected at most that");
            }
            if (count > std::numeric_limits<std::uint32_t>::max() / 2) {
                fail("there are " + std::to_string(count) +
                     " n-grams of one order; expected at most 2147483647");
            }
            if (order == 1 && count == 0) {
                fail("the model has no unigrams; expected at least one");
            }
            counts_.push_back(count);
        }
        if (counts_.empty()) {
            fail("there is " + quoted(line_) + "; expected a count such as 'ngram 1=5000'");
        }
        model_.levels.resize(counts_.size());
    }

    static bool number(std::string_view text, std::uint64_t& value) {
        value = 0;
        for (const char digit : text) {
            if (digit < '0' || digit > '9' || value > std::numeric_limits<std::uint64_t>::max() / 10 - 1) {
                return false;
            }
            value = value * 10 + static_cast<std::uint64_t>(digit - '0');
        }
        return !text.empty();
    }

    void read_level(std::size_t order) {
        const std::string header = "\\" + std::to_string(order) + "-grams:";
        if (trimmed(line_) != header) {
            fail("there is " + quoted(line_) + "; expected " + header);
        }
        ArpaLevel& level = model_.levels[order - 1];
        const std::uint64_t count = counts_[order - 1];
        std::uint64_t found = 0;
        for (advance("n-grams or \\end\\"); line_.front() != '\\' || !is_header();
             advance("n-grams or \\end\\")) {
            if (++found > count) {
                fail("there are more " + std::to_string(order) + "-grams than the " + std::to_string(count) +
                     " that the file announces");
            }
            read_ngram(order, level);
        }
        if (found != count) {
            fail("there were " + std::to_string(found) + " " + std::to_string(order) +
                 "-grams; expected the " + std::to_string(count) + " that the file announces");
        }
    }

    bool is_header() const {
        const std::string_view text = trimmed(line_);
        return text == "\\end\\" || (text.size() > 8 && text.substr(text.size() - 7) == "-grams:");
    }

    void read_ngram(std::size_t order, ArpaLevel& level) {
        split(line_, fields_);
        if (fields_.size() != order + 1 && fields_.size() != order + 2) {
            fail("there is " + quoted(line_) + "; expected a probability, " + std::to_string(order) +
                 (order == 1 ? " word" : " words") + " and at most a backoff");
        }
        const float probability = decimal(fields_[0], "probability");
        if (probability > 0.0F) {
            fail("the probability " + quoted(fields_[0]) + " is over 0; expected a base-10 logarithm");
        }
        float backoff = fields_.size() == order + 2 ? decimal(fields_[order + 1], "backoff") : 0.0F;
        if (order == counts_.size()) {
            if (backoff != 0.0F && order > 1) {
                fail("the highest order has the backoff " + quoted(fields_[order + 1]) + "; expected none");
            }
            backoff = order > 1 ? 0.0F : backoff;
        }
        if (order == 1) {
            const std::string_view word = canonical(fields_[1]);
            const auto id = static_cast<std::uint32_t>(model_.words.size());
            if (!ids_.emplace(std::string(word), id).second) {
                fail("the word " + quoted(word) + " is there twice; expected once");
            }
            model_.words.emplace_back(word);
            level.words.push_back(id);
        } else {
            for (std::size_t index = 1; index <= order; ++index) {
                key_.assign(canonical(fields_[index]));
                const auto known = ids_.find(key_);
                if (known == ids_.end()) {
                    fail("the word " + quoted(key_) + " is not among the unigrams; expected all words to be");
                }
                level.words.push_back(known->second);
            }
        }
        level.probability.push_back(probability);
        level.backoff.push_back(backoff);
    }

    static std::string_view canonical(std::string_view word) { return word == "<UNK>" ? "<unk>" : word; }

    // Without regard to the locale, which strtof would ask.
    float decimal(std::string_view field, const char* what) const {
        std::string_view digits = field;
        if (digits.size() > 1 && digits.front() == '+' && digits[1] != '-') {
            digits.remove_prefix(1);
        }
        const char* last = digits.data() + digits.size();
        float value = 0.0F;
        auto [end, error] = std::from_chars(digits.data(), last, value);
        if (error ==
            std::errc::result_out_of_range) {  // too small for a float is zero, too large is infinite
            double wide = 0.0;
            std::tie(end, error) = [&] {
                const auto result = std::from_chars(digits.data(), last, wide);
                return std::make_tuple(result.ptr, result.ec);
            }();
            value = static_cast<float>(wide);
        }
        if (error != std::errc() || end != last || !(std::fabs(value) <= kLargest)) {
            fail(std::string("the ") + what + " is " + quoted(field) + "; expected a number");
        }
        return value;
    }

    Lines& lines_;
    std::string name_;
    std::string_view line_;
    std::vector<std::string_view> fields_;
    std::string key_;
    std::vector<std::uint64_t> counts_;
    std::unordered_map<std::string, std::uint32_t> ids_;
    ArpaModel model_;
};

}  // namespace

ArpaModel read_arpa(const std::string& path) {
    const auto lines = open_lines(path);
    return Reader(*lines, path).read();
}

ArpaModel parse_arpa(std::string_view text, const std::string& name) {
    const auto lines = lines_of(text);
    return Reader(*lines, name).read();
}

}  // namespace w2vc::decoding
