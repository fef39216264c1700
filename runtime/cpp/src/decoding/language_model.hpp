// Scores words by an n-gram language model with backoff, equal to KenLM.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "decoding/compact.hpp"

namespace w2vc::decoding {

// What the words before leave behind: a node of the model. States that score all words alike may be one.
using LanguageState = std::uint32_t;

// Immutable, thread-safe. Scores are base-10 logarithms, as in the file.
class LanguageModel {
  public:
    // Opens a compiled model (mapped, not read) or compiles an ARPA file, plain or gzip, in memory. Throws
    // Error.
    static std::shared_ptr<const LanguageModel> open(const std::string& path);
    // name: what errors call it. checksum: see view_compact.
    static std::shared_ptr<const LanguageModel> of(Mapping mapping, const std::string& name,
                                                   bool checksum = true);

    std::size_t order() const { return view_.header->order; }
    std::size_t words() const { return static_cast<std::size_t>(view_.header->words); }
    std::size_t ngrams() const;
    bool has_bounds() const { return view_.header->has_bounds != 0; }

    // A word's id; unknown() where the model does not have it.
    std::uint32_t find(std::string_view word) const;
    std::uint32_t unknown() const { return view_.header->unknown; }
    std::uint32_t begin() const { return view_.header->begin; }
    std::uint32_t end() const { return view_.header->end; }
    // Empty for an id that is none. Words are sorted by their bytes.
    std::string_view word(std::uint32_t id) const;

    // The state after <s>, and the one with no words before.
    LanguageState begin_state() const;
    LanguageState empty_state() const { return 0; }

    // log10 of the probability of a word after a state. An id that is none counts as unknown.
    float score(LanguageState state, std::uint32_t word, LanguageState& next) const;

  private:
    explicit LanguageModel(Mapping mapping) : mapping_(std::move(mapping)) {}
    LanguageState extend(std::uint32_t node) const;
    bool find_child(std::uint32_t node, std::uint32_t word, std::uint32_t& child, bool& leaf) const;

    Mapping mapping_;
    CompactView view_;
};

}  // namespace w2vc::decoding
