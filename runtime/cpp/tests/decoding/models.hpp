// Small language models, and the brute-force scores of any.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "decoding/arpa.hpp"

namespace w2vc::decoding::tests {

inline const char* const kTrigrams =
    "\\data\\\n"
    "ngram 1=6\n"
    "ngram 2=5\n"
    "ngram 3=4\n"
    "\n"
    "\\1-grams:\n"
    "-1.5\t<unk>\t0\n"
    "-99\t<s>\t-0.5\n"
    "-1.1\t</s>\n"
    "-0.7\tone\t-0.3\n"
    "-0.8\ttwo\t-0.2\n"
    "-0.9\tthree\t-0.1\n"
    "\n"
    "\\2-grams:\n"
    "-0.4\t<s> one\t-0.25\n"
    "-0.5\tone two\t-0.15\n"
    "-0.6\ttwo three\t0\n"
    "-0.3\tthree </s>\n"
    "-0.35\ttwo two\t-0.05\n"
    "\n"
    "\\3-grams:\n"
    "-0.2\t<s> one two\n"
    "-0.1\tone two three\n"
    "-0.05\ttwo three </s>\n"
    "-0.45\tone three one\n"  // its context is no bigram
    "\n"
    "\\end\\\n";

// Backoff by its definition, in doubles, from the n-grams as the file has them.
class BruteForce {
  public:
    explicit BruteForce(const ArpaModel& model) : order_(model.levels.size()) {
        for (std::size_t order = 1; order <= order_; ++order) {
            const auto& level = model.levels[order - 1];
            for (std::size_t row = 0; row < level.probability.size(); ++row) {
                std::vector<std::string> words;
                for (std::size_t index = 0; index < order; ++index) {
                    words.push_back(model.words[level.words[row * order + index]]);
                }
                ngrams_[words] = {level.probability[row], level.backoff[row]};
            }
        }
        known_ = ngrams_.count({"<unk>"}) != 0;
    }

    double score(std::vector<std::string> history, const std::string& word) const {
        for (auto& each : history) {
            each = ngrams_.count({each}) != 0 ? each : "<unk>";
        }
        const std::string last = ngrams_.count({word}) != 0 ? word : "<unk>";
        if (last == "<unk>" && !known_) {
            return back_off(history) + -100.0;
        }
        while (history.size() + 1 > order_) {
            history.erase(history.begin());
        }
        double backoffs = 0.0;
        for (;;) {
            auto key = history;
            key.push_back(last);
            const auto found = ngrams_.find(key);
            if (found != ngrams_.end()) {
                return found->second.first + backoffs;
            }
            const auto context = ngrams_.find(history);
            backoffs += context != ngrams_.end() ? context->second.second : 0.0;
            history.erase(history.begin());
        }
    }

  private:
    double back_off(std::vector<std::string> history) const {
        double sum = 0.0;
        while (history.size() + 1 > order_) {
            history.erase(history.begin());
        }
        for (; !history.empty(); history.erase(history.begin())) {
            const auto context = ngrams_.find(history);
            sum += context != ngrams_.end() ? context->second.second : 0.0;
        }
        return sum;
    }

    std::map<std::vector<std::string>, std::pair<double, double>> ngrams_;
    std::size_t order_;
    bool known_ = false;
};

}  // namespace w2vc::decoding::tests
