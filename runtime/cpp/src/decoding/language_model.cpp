#include "decoding/language_model.hpp"

#include <algorithm>
#include <array>

#include "decoding/decoder.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::string_view kKenlmMagic = "mmap lm http://kheafield.com/code";

}  // namespace

std::shared_ptr<const LanguageModel> LanguageModel::open(const std::string& path) {
    if (start_of_file(path, kKenlmMagic.size()) == kKenlmMagic) {
        throw Error(path + " is a binary file of KenLM; expected the ARPA file that it was built from");
    }
    if (is_compact(start_of_file(path, sizeof kCompactMagic))) {
        return of(Mapping::of_file(path), path);
    }
    return of(compile(read_arpa(path)), path, false);
}

std::shared_ptr<const LanguageModel> LanguageModel::of(Mapping mapping, const std::string& name,
                                                       bool checksum) {
    std::shared_ptr<LanguageModel> model(new LanguageModel(std::move(mapping)));
    model->view_ = view_compact(model->mapping_, name, checksum);
    return model;
}

std::size_t LanguageModel::ngrams() const {
    return static_cast<std::size_t>(view_.header->nodes - 1 + view_.header->leaves);
}

std::string_view LanguageModel::word(std::uint32_t id) const {
    const CompactHeader& header = *view_.header;
    if (id >= header.words) {
        return {};
    }
    const std::uint64_t first = view_.word_offsets[id];
    const std::uint64_t last = view_.word_offsets[id + 1];
    return first <= last && last <= header.word_bytes
               ? std::string_view(view_.word_bytes + first, last - first)
               : std::string_view();
}

std::uint32_t LanguageModel::find(std::string_view text) const {
    std::uint32_t first = 0;
    auto last = static_cast<std::uint32_t>(view_.header->words);
    while (first < last) {
        const std::uint32_t middle = first + (last - first) / 2;
        const int order = word(middle).compare(text);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            first = middle + 1;
        } else {
            last = middle;
        }
    }
    return view_.header->unknown;
}

LanguageState LanguageModel::begin_state() const {
    LanguageState next = 0;
    score(0, begin(), next);
    return next;
}

// Every index from the file is checked here, so that a file that was forged, checksum and all, only scores
// wrongly.
bool LanguageModel::find_child(std::uint32_t node, std::uint32_t word, std::uint32_t& child,
                               bool& leaf) const {
    const CompactHeader& header = *view_.header;
    leaf = false;
    if (node == 0) {
        child = 1 + word;
        return true;  // words are fewer than nodes
    }
    leaf = node >= header.first_parent_of_leaves;
    const std::uint64_t count = leaf ? header.leaves : header.nodes;
    const std::uint64_t next = node + std::uint64_t{1};
    const bool ends_order = !leaf && next == header.first_parent_of_leaves;
    const std::uint64_t last = ends_order ? count : std::min<std::uint64_t>(view_.first_child[next], count);
    const std::uint64_t first = std::min<std::uint64_t>(view_.first_child[node], last);
    const std::uint32_t* words = leaf ? view_.leaf_word : view_.word;
    const std::uint32_t* found = std::lower_bound(words + first, words + last, word);
    child = static_cast<std::uint32_t>(found - words);
    return found != words + last && *found == word;
}

// The longest suffix of a node that tells words apart: without children and backoff it scores as its suffix
// does.
LanguageState LanguageModel::extend(std::uint32_t node) const {
    const CompactHeader& header = *view_.header;
    while (node != 0) {
        const std::uint64_t next = node + std::uint64_t{1};
        const bool ends_order = next == header.first_parent_of_leaves;
        const bool childless = !ends_order && view_.first_child[node] == view_.first_child[next];
        if (!childless || view_.backoff[node] != 0.0F) {
            break;
        }
        const std::uint32_t shorter = view_.suffix[node];
        node = shorter < node ? shorter : 0;
    }
    return node;
}

float LanguageModel::score(LanguageState state, std::uint32_t word, LanguageState& next) const {
    const CompactHeader& header = *view_.header;
    word = word < header.words ? word : header.unknown;
    std::uint32_t node = state < header.nodes ? state : 0;
    std::array<float, kMaximumOrder> backoffs;
    std::size_t count = 0;
    std::uint32_t child = 0;
    bool leaf = false;
    while (!find_child(node, word, child, leaf)) {
        if (count < backoffs.size()) {
            backoffs[count++] = view_.backoff[node];
        }
        const std::uint32_t shorter = view_.suffix[node];
        node = shorter < node ? shorter : 0;
    }
    float probability = leaf ? view_.leaf_probability[child] : view_.probability[child];
    while (count > 0) {
        probability += backoffs[--count];  // the shortest context first, as KenLM adds
    }
    if (leaf) {
        const std::uint32_t shorter = view_.leaf_suffix[child];
        next = extend(shorter < header.nodes ? shorter : 0);
    } else {
        next = extend(child);
    }
    return probability;
}

}  // namespace w2vc::decoding
