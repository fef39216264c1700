// Scores words by an n-gram language model with backoff, equal to KenLM.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "decoding/compact.hpp"
#include "decoding/word_model.hpp"

namespace w2vc::decoding {

// Immutable, thread-safe. Scores are base-10 logarithms, as in the file.
class LanguageModel final : public WordModel {
  public:
    // Opens a compiled model (mapped, not read) or compiles an ARPA file, plain or gzip, in memory. Throws
    // Error.
    static std::shared_ptr<const LanguageModel> open(const std::string& path);
    // name: what errors call it. checksum: see view_compact.
    static std::shared_ptr<const LanguageModel> of(Mapping mapping, const std::string& name,
                                                   bool checksum = true);

    std::size_t order() const override { return view_.header->order; }
    bool has_bounds() const override { return view_.header->has_bounds != 0; }
    std::size_t ngrams() const;
    // Bytes of the compact form.
    const Mapping& mapping() const { return mapping_; }

    std::uint32_t find(std::string_view word) const override;
    std::uint32_t unknown() const override { return view_.header->unknown; }
    std::uint32_t begin() const { return view_.header->begin; }
    std::uint32_t end() const override { return view_.header->end; }
    std::size_t words() const override { return static_cast<std::size_t>(view_.header->words); }
    // Empty for an id that is none.
    std::string_view word(std::uint32_t id) const override;

    LanguageState begin_state() const override;
    LanguageState empty_state() const override { return 0; }

    // An id that is none counts as unknown, a state that is none as empty.
    float score(LanguageState state, std::uint32_t word, LanguageState& next) const override;

  private:
    explicit LanguageModel(Mapping mapping) : mapping_(std::move(mapping)) {}
    LanguageState extend(std::uint32_t node) const;
    bool find_child(std::uint32_t node, std::uint32_t word, std::uint32_t& child, bool& leaf) const;

    Mapping mapping_;
    CompactView view_;
};

}  // namespace w2vc::decoding
