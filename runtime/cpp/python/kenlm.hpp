// A language model of the Python package kenlm.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "decoding/word_model.hpp"

namespace w2vc::decoding {

// Asks Python for each score that a search has not met: it takes the GIL, so that threads wait for each
// other. Words and states that were met are kept.
class KenlmModel final : public WordModel {
  public:
    // model: a kenlm.Model.
    explicit KenlmModel(nanobind::object model);

    std::size_t order() const override { return order_; }
    bool has_bounds() const override { return true; }
    std::uint32_t find(std::string_view word) const override;
    std::uint32_t unknown() const override { return 0; }
    std::uint32_t end() const override { return end_; }
    LanguageState begin_state() const override { return begin_; }
    LanguageState empty_state() const override { return empty_; }
    float score(LanguageState state, std::uint32_t word, LanguageState& next) const override;

  private:
    LanguageState keep(nanobind::object state) const;

    nanobind::object model_;
    nanobind::object make_state_;
    std::size_t order_ = 0;
    mutable std::unordered_map<std::string, std::uint32_t> ids_;
    mutable nanobind::list words_;
    mutable nanobind::list states_;
    mutable nanobind::dict known_;
    std::uint32_t end_ = 0;
    LanguageState begin_ = 0;
    LanguageState empty_ = 0;
};

}  // namespace w2vc::decoding
