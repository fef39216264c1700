// From the n-grams of an ARPA file to the compact form.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "decoding/compact.hpp"
#include "decoding/decoder.hpp"

namespace w2vc::decoding {

void seal_compact(std::uint8_t* data, std::size_t size);  // compact.cpp

namespace {

constexpr float kMissingUnknown = -100.0F;  // KenLM's probability of <unk> where the model has none
constexpr float kComputed = std::numeric_limits<float>::quiet_NaN();

using Ids = const std::uint32_t*;

int compare(Ids left, Ids right, std::size_t count) {
    for (std::size_t index = 0; index < count; ++index) {
        if (left[index] != right[index]) {
            return left[index] < right[index] ? -1 : 1;
        }
    }
    return 0;
}

// Puts the rows in the order given.
void permute(ArpaLevel& level, std::size_t order, const std::vector<std::uint32_t>& rows) {
    ArpaLevel sorted;
    sorted.words.reserve(level.words.size());
    sorted.probability.reserve(rows.size());
    sorted.backoff.reserve(rows.size());
    for (const std::uint32_t row : rows) {
        const Ids ids = level.words.data() + row * order;
        sorted.words.insert(sorted.words.end(), ids, ids + order);
        sorted.probability.push_back(level.probability[row]);
        sorted.backoff.push_back(level.backoff[row]);
    }
    level = std::move(sorted);
}

class Compiler {
  public:
    explicit Compiler(ArpaModel model) : model_(std::move(model)), order_(model_.levels.size()) {}

    Mapping build() {
        sort_words();
        for (std::size_t order = 2; order <= order_; ++order) {
            sort_level(order);
        }
        for (std::size_t order = order_; order > 2; --order) {
            add_prefixes(order);
        }
        lay_out();
        for (std::size_t order = 2; order <= order_; ++order) {
            link(order);
        }
        return write();
    }

  private:
    struct Nodes {
        std::vector<std::uint32_t> word, first_child, suffix;
        std::vector<float> probability, backoff;
    };

    void sort_words() {
        auto& words = model_.words;
        ArpaLevel& level = model_.levels[0];
        if (std::find(words.begin(), words.end(), "<unk>") == words.end()) {
            level.words.push_back(static_cast<std::uint32_t>(words.size()));
            level.probability.push_back(kMissingUnknown);
            level.backoff.push_back(0.0F);
            words.emplace_back("<unk>");
        }
        std::vector<std::uint32_t> rows(words.size());
        std::iota(rows.begin(), rows.end(), 0U);
        std::sort(rows.begin(), rows.end(),
                  [&](auto left, auto right) { return words[left] < words[right]; });
        std::vector<std::uint32_t> rank(rows.size());
        std::vector<std::string> sorted(rows.size());
        for (std::uint32_t place = 0; place < rows.size(); ++place) {
            rank[rows[place]] = place;
            sorted[place] = std::move(words[rows[place]]);
        }
        words = std::move(sorted);
        for (ArpaLevel& each : model_.levels) {
            for (std::uint32_t& id : each.words) {
                id = rank[id];
            }
        }
        permute(level, 1, rows);
    }

    void sort_level(std::size_t order) {
        ArpaLevel& level = model_.levels[order - 1];
        const Ids ids = level.words.data();
        std::vector<std::uint32_t> rows(level.probability.size());
        std::iota(rows.begin(), rows.end(), 0U);
        std::sort(rows.begin(), rows.end(), [&](std::size_t left, std::size_t right) {
            return compare(ids + left * order, ids + right * order, order) < 0;
        });
        permute(level, order, rows);
        for (std::size_t row = 1; row < rows.size(); ++row) {
            const Ids own = level.words.data() + row * order;
            if (compare(own - order, own, order) == 0) {
                throw Error("the " + std::to_string(order) + "-gram '" + shown(own, order) +
                            "' is there twice; expected once");
            }
        }
    }

    std::string shown(Ids ids, std::size_t order) const {
        std::string text;
        for (std::size_t index = 0; index < order; ++index) {
            text += (index == 0 ? "" : " ") + model_.words[ids[index]];
        }
        return text;
    }

    // A pruned model may lack the context of an n-gram: it gets the probability that backing off gives.
    void add_prefixes(std::size_t order) {
        const ArpaLevel& longer = model_.levels[order - 1];
        ArpaLevel& level = model_.levels[order - 2];
        const std::size_t own = order - 1;
        const std::size_t present = level.probability.size();
        std::size_t place = 0;
        for (std::size_t row = 0; row < longer.probability.size(); ++row) {
            const Ids prefix = longer.words.data() + row * order;
            if (row > 0 && compare(prefix - order, prefix, own) == 0) {
                continue;
            }
            while (place < present && compare(level.words.data() + place * own, prefix, own) < 0) {
                ++place;
            }
            if (place < present && compare(level.words.data() + place * own, prefix, own) == 0) {
                continue;
            }
            level.words.insert(level.words.end(), prefix, prefix + own);
            level.probability.push_back(kComputed);
            level.backoff.push_back(0.0F);
        }
        if (level.probability.size() != present) {
            sort_level(own);
        }
    }

    // All but the highest order are nodes; of a model of unigrams these are, too.
    void lay_out() {
        const std::size_t inner = std::max<std::size_t>(1, order_ - 1);
        std::uint64_t count = 1;
        for (std::size_t order = 1; order <= inner; ++order) {
            begins_.push_back(static_cast<std::uint32_t>(count));
            count += model_.levels[order - 1].probability.size();
        }
        if (count >= std::numeric_limits<std::uint32_t>::max()) {
            throw Error("the model has " + std::to_string(count) + " contexts; expected fewer than 2^32");
        }
        begins_.push_back(static_cast<std::uint32_t>(count));
        nodes_.word.assign(1, 0);
        nodes_.probability.assign(1, 0.0F);
        nodes_.backoff.assign(1, 0.0F);
        nodes_.suffix.assign(count, 0);
        nodes_.first_child.assign(1, 1);
        for (std::size_t order = 1; order <= inner; ++order) {
            const ArpaLevel& level = model_.levels[order - 1];
            for (std::size_t row = 0; row < level.probability.size(); ++row) {
                nodes_.word.push_back(level.words[row * order + order - 1]);
            }
            nodes_.probability.insert(nodes_.probability.end(), level.probability.begin(),
                                      level.probability.end());
            nodes_.backoff.insert(nodes_.backoff.end(), level.backoff.begin(), level.backoff.end());
            add_children(order, order < inner ? begins_[order] : 0);
        }
        const bool leaves = order_ > 1;
        nodes_.first_child.push_back(
            leaves ? static_cast<std::uint32_t>(model_.levels[order_ - 1].probability.size())
                   : begins_.back());
        if (leaves) {
            leaf_suffix_.assign(model_.levels[order_ - 1].probability.size(), 0);
        }
    }

    // Children of the n-grams of `order` start at `base`, in the order of their parents.
    void add_children(std::size_t order, std::uint32_t base) {
        const ArpaLevel& level = model_.levels[order - 1];
        if (order == order_) {
            nodes_.first_child.insert(nodes_.first_child.end(), level.probability.size(), begins_[1]);
            return;
        }
        const ArpaLevel& longer = model_.levels[order];
        std::size_t child = 0;
        for (std::size_t row = 0; row < level.probability.size(); ++row) {
            nodes_.first_child.push_back(base + static_cast<std::uint32_t>(child));
            const Ids own = level.words.data() + row * order;
            while (child < longer.probability.size() &&
                   compare(longer.words.data() + child * (order + 1), own, order) == 0) {
                ++child;
            }
        }
    }

    // Suffix links and missing probabilities of an order; those below have theirs.
    void link(std::size_t order) {
        ArpaLevel& level = model_.levels[order - 1];
        const bool leaves = order == order_;
        for (std::size_t row = 0; row < level.probability.size(); ++row) {
            const std::uint32_t parent = find(level.words.data() + row * order, order - 1);
            const std::uint32_t word = level.words[row * order + order - 1];
            std::uint32_t context = nodes_.suffix[parent];
            float backoffs = nodes_.backoff[parent];
            std::uint32_t found = inner_child(context, word);
            while (found == 0) {
                backoffs += nodes_.backoff[context];
                context = nodes_.suffix[context];
                found = inner_child(context, word);
            }
            if (leaves) {
                leaf_suffix_[row] = found;
                continue;
            }
            const std::size_t node = begins_[order - 1] + row;
            nodes_.suffix[node] = found;
            if (std::isnan(nodes_.probability[node])) {
                nodes_.probability[node] = nodes_.probability[found] + backoffs;
            }
        }
    }

    // The node of a context that is there; rows come sorted, so that the last one is often it.
    std::uint32_t find(Ids ids, std::size_t count) {
        if (last_.size() != count || compare(last_.data(), ids, count) != 0) {
            last_.assign(ids, ids + count);
            last_node_ = 0;
            for (std::size_t index = 0; index < count; ++index) {
                last_node_ = inner_child(last_node_, ids[index]);
            }
        }
        return last_node_;
    }

    // The child of a node among the nodes; 0 for none.
    std::uint32_t inner_child(std::uint32_t node, std::uint32_t word) const {
        if (node == 0) {
            return 1 + word;
        }
        if (order_ > 1 && node >= begins_[begins_.size() - 2]) {
            return 0;  // its children are leaves
        }
        const auto first = nodes_.word.begin() + nodes_.first_child[node];
        const auto last = nodes_.word.begin() + end_of_children(node);
        const auto found = std::lower_bound(first, last, word);
        return found != last && *found == word ? static_cast<std::uint32_t>(found - nodes_.word.begin()) : 0;
    }

    // The last node of an order ends where the next order does, not where the next node's children start.
    std::uint32_t end_of_children(std::uint32_t node) const {
        const auto next = std::upper_bound(begins_.begin(), begins_.end(), node);
        const bool last = node + 1 == *next;
        return last ? *std::next(next) : nodes_.first_child[node + 1];
    }

    Mapping write() {
        CompactHeader header{};
        std::memcpy(header.magic, kCompactMagic, sizeof kCompactMagic);
        header.version = kCompactVersion;
        header.order = static_cast<std::uint32_t>(order_);
        header.words = model_.words.size();
        header.nodes = nodes_.word.size();
        header.leaves = leaf_suffix_.size();
        header.first_parent_of_leaves = order_ > 1 ? begins_[order_ - 2] : nodes_.word.size();
        header.unknown = id_of("<unk>");
        const bool bounds = has("<s>") && has("</s>");
        header.has_bounds = bounds ? 1 : 0;
        header.begin = bounds ? id_of("<s>") : 0;
        header.end = bounds ? id_of("</s>") : 0;
        std::vector<std::uint32_t> offsets{0};
        std::string bytes;
        for (const auto& word : model_.words) {
            bytes += word;
            if (bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
                throw Error("the words of the model are longer than 4 GiB; expected less");
            }
            offsets.push_back(static_cast<std::uint32_t>(bytes.size()));
        }
        header.word_bytes = bytes.size();
        const ArpaLevel& top = model_.levels[order_ - 1];
        std::vector<std::uint32_t> leaf_word;
        for (std::size_t row = 0; row < leaf_suffix_.size(); ++row) {
            leaf_word.push_back(top.words[row * order_ + order_ - 1]);
        }
        std::vector<std::uint64_t> target;
        append(target, &header, sizeof header);
        append(target, offsets);
        append(target, bytes.data(), bytes.size());
        append(target, nodes_.word);
        append(target, nodes_.probability);
        append(target, nodes_.backoff);
        append(target, nodes_.first_child);
        append(target, nodes_.suffix);
        append(target, leaf_word);
        append(target, top.probability.data(), leaf_suffix_.size() * sizeof(float));
        append(target, leaf_suffix_);
        const std::uint64_t size = target.size() * 8;
        std::memcpy(reinterpret_cast<std::uint8_t*>(target.data()) + offsetof(CompactHeader, size), &size, 8);
        seal_compact(reinterpret_cast<std::uint8_t*>(target.data()), size);
        return Mapping(std::move(target), size);
    }

    bool has(const std::string& word) const {
        return std::binary_search(model_.words.begin(), model_.words.end(), word);
    }

    std::uint32_t id_of(const std::string& word) const {
        const auto& words = model_.words;
        return static_cast<std::uint32_t>(std::lower_bound(words.begin(), words.end(), word) - words.begin());
    }

    static void append(std::vector<std::uint64_t>& target, const void* source, std::size_t bytes) {
        const std::size_t start = target.size();
        target.resize(start + (bytes + 7) / 8, 0);
        if (bytes != 0) {
            std::memcpy(target.data() + start, source, bytes);
        }
    }

    template <typename T>
    static void append(std::vector<std::uint64_t>& target, const std::vector<T>& values) {
        append(target, values.data(), values.size() * sizeof(T));
    }

    ArpaModel model_;
    std::size_t order_;
    std::vector<std::uint32_t> begins_;  // first node of each order, then the count of nodes
    Nodes nodes_;
    std::vector<std::uint32_t> leaf_suffix_;
    std::vector<std::uint32_t> last_;
    std::uint32_t last_node_ = 0;
};

}  // namespace

Mapping compile(ArpaModel model) {
    return Compiler(std::move(model)).build();
}

}  // namespace w2vc::decoding
