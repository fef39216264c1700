#include "decoding/words.hpp"

#include <algorithm>
#include <cmath>

#include "decoding/text.hpp"

namespace w2vc::decoding {

Lexicon::Lexicon(std::shared_ptr<const WordModel> model,
                 const std::optional<std::vector<std::string>>& unigrams)
    : model_(std::move(model)) {
    if (unigrams) {
        for (const auto& word : *unigrams) {
            if (model_->find(word) != model_->unknown()) {
                own_.push_back(word);
            }
        }
        std::sort(own_.begin(), own_.end());
        own_.erase(std::unique(own_.begin(), own_.end()), own_.end());
        model_.reset();
        count_ = static_cast<std::uint32_t>(own_.size());
    } else if (model_ && model_->words() == 0) {
        model_.reset();  // which cannot list its words
    } else if (model_) {
        count_ = static_cast<std::uint32_t>(model_->words());
    }
}

std::string_view Lexicon::word(std::uint32_t index) const {
    return model_ ? model_->word(index) : std::string_view(own_[index]);
}

Range Lexicon::narrow(Range range, std::size_t depth, std::string_view more) const {
    const auto compare = [&](std::uint32_t index) {
        const std::string_view text = word(index);
        return text.size() < depth ? -1 : text.substr(depth, more.size()).compare(more);
    };
    const auto bound = [&](std::uint32_t first, std::uint32_t last, int least) {
        while (first < last) {
            const std::uint32_t middle = first + (last - first) / 2;
            if (compare(middle) < least) {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        return first;
    };
    const std::uint32_t first = bound(range.first, range.last, 0);
    return {first, bound(first, range.last, 1)};
}

std::bitset<256> Lexicon::next_bytes(Range range, std::size_t depth) const {
    std::bitset<256> bytes;
    while (!range.empty()) {
        const std::string_view text = word(range.first);
        if (text.size() <= depth) {
            ++range.first;
            continue;
        }
        bytes.set(static_cast<unsigned char>(text[depth]));
        range.first = narrow(range, depth, text.substr(depth, 1)).last;
    }
    return bytes;
}

bool Lexicon::has(Range range, std::size_t depth) const {
    return !range.empty() && word(range.first).size() == depth;
}

Hotwords::Hotwords(const std::vector<Hotword>& hotwords) {
    for (const auto& hotword : hotwords) {
        for (const auto& word : split(hotword.text)) {
            words_.push_back({word, hotword.weight});
        }
    }
    std::stable_sort(words_.begin(), words_.end(),
                     [](const auto& left, const auto& right) { return left.text < right.text; });
    words_.erase(std::unique(words_.begin(), words_.end(),
                             [](const auto& left, const auto& right) { return left.text == right.text; }),
                 words_.end());
}

double Hotwords::weight(std::string_view word) const {
    const auto found = std::lower_bound(words_.begin(), words_.end(), word,
                                        [](const auto& hotword, auto text) { return hotword.text < text; });
    return found != words_.end() && found->text == word ? found->weight : 0.0;
}

std::optional<double> Hotwords::promise(std::string_view prefix) const {
    auto found = std::lower_bound(words_.begin(), words_.end(), prefix,
                                  [](const auto& hotword, auto text) { return hotword.text < text; });
    std::optional<double> best;
    const auto own = static_cast<double>(length(prefix));
    for (; found != words_.end() && found->text.compare(0, prefix.size(), prefix) == 0; ++found) {
        const double share = found->weight * own / static_cast<double>(length(found->text));
        best = !best || std::fabs(share) > std::fabs(*best) ? share : *best;
    }
    return best;
}

}  // namespace w2vc::decoding
